"""The four graphs of a release: the models cut where serving needs them, with the inputs that serving has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from banquet.training.models.ranking import item_features
from banquet.training.models.served_ranking import ServedRanker, with_constant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from banquet.training.models.ranking import Ranker
    from banquet.training.models.retrieval import ItemEncoder, Retrieval
    from banquet.wire.schema import FeatureSchema, ItemInputs

ITEM_AXES = {"index": ("N",), "categories": ("N",), "lists": ("N",), "numbers": ("N",)}
HISTORY_AXES = {"history": ("B", "L"), "mask": ("B", "L")}
RANKER_AXES = {
    "user_categories": ("B",),
    "user_numbers": ("B",),
    **HISTORY_AXES,
    "candidates": ("B", "C"),
    "retrieval_scores": ("B", "C"),
}


@dataclass(frozen=True)
class Graph:
    """One exported module. `axes` names each input's leading, dynamic dimensions; with `example` it is traced and checked.

    `about` is what the manifest says of it beside that.
    """

    name: str
    module: nn.Module
    axes: Mapping[str, tuple[str, ...]]
    example: dict[str, Tensor]
    output: str
    about: Mapping[str, Any] = field(default_factory=dict)


class ItemVectors(nn.Module):
    """Retrieval's item vectors from the item inputs called `names`, of which profile numbers come first."""

    def __init__(self, encoder: ItemEncoder, names: tuple[str, ...]) -> None:
        super().__init__()
        self.encoder = encoder
        self.names = names

    def forward(self, *inputs: Tensor) -> Tensor:
        given = dict(zip(self.names, inputs, strict=True))
        return encode_items(self.encoder, given)


class ItemFeatures(nn.Module):
    """Ranking's resident line of an item: what it is, its activity, and a 1."""

    def __init__(self, encoder: ItemEncoder, names: tuple[str, ...]) -> None:
        super().__init__()
        self.encoder = encoder
        self.names = names

    def forward(self, *inputs: Tensor) -> Tensor:
        given = dict(zip(self.names, inputs, strict=True))
        vectors = encode_items(self.encoder, given)
        if "numbers" not in given:
            return with_constant(vectors)
        return with_constant(item_features(vectors, given["numbers"][:, self.encoder.widths.numbers :]))


class RankerScores(nn.Module):
    """The one score that is served. The ranker itself stays in it, for whoever wants to go on learning from a release."""

    def __init__(self, ranker: Ranker, names: tuple[str, ...]) -> None:
        super().__init__()
        self.ranker = ranker
        self.served = ServedRanker(ranker)
        self.names = names

    def forward(self, *inputs: Tensor) -> Tensor:
        given = dict(zip(self.names, inputs, strict=True))
        user = self.ranker.user(given.get("user_categories"), given.get("user_numbers"))
        user = user.expand(given["mask"].shape[0], -1)
        scores = given["retrieval_scores"]
        correction, like = self.served(user, given["history"], given["mask"], given["candidates"], scores)
        return self.ranker.score(scores, correction, like)


def encode_items(encoder: ItemEncoder, given: dict[str, Tensor]) -> Tensor:
    numbers = given["numbers"][:, : encoder.widths.numbers] if encoder.widths.numbers else None
    vectors: Tensor = encoder(given["index"], given.get("categories"), given.get("lists"), numbers)
    return vectors


def all_graphs(
    retrieval: Retrieval, ranker: Ranker, schema: FeatureSchema, inputs: ItemInputs, rng: np.random.Generator
) -> list[Graph]:
    return [*retrieval_graphs(retrieval, schema, inputs, rng), *ranking_graphs(ranker, schema, inputs, rng)]


def retrieval_graphs(retrieval: Retrieval, schema: FeatureSchema, inputs: ItemInputs, rng: np.random.Generator) -> list[Graph]:
    """With examples out of the data: random items, and histories of all lengths, the empty one too."""
    items = item_example(inputs, rng)
    without_activity = {name: value for name, value in items.items() if name != "numbers" or retrieval.items.widths.numbers}
    vectors = ItemVectors(retrieval.items, tuple(without_activity))
    with torch.no_grad():
        history = history_example(vectors(*without_activity.values()), schema.history_length, rng)
    return [
        Graph("item_encoder", vectors, ITEM_AXES, without_activity, "vectors"),
        Graph("history_encoder", retrieval.history, HISTORY_AXES, history, "user_vector"),
    ]


def ranking_graphs(ranker: Ranker, schema: FeatureSchema, inputs: ItemInputs, rng: np.random.Generator) -> list[Graph]:
    """As retrieval's, with random items as candidates."""
    items = item_example(inputs, rng)
    features = ItemFeatures(ranker.items, tuple(items))
    scale = float(ranker.score_mean), float(ranker.score_scale)
    with torch.no_grad():
        ranking = ranking_example(features(*items.values()), schema, scale, rng)
    return [
        Graph("ranker_items", features, ITEM_AXES, items, "features"),
        Graph("ranker", RankerScores(ranker, tuple(ranking)), RANKER_AXES, ranking, "scores"),
    ]


EXAMPLE_ITEMS, EXAMPLE_USERS, EXAMPLE_CANDIDATES = 40, 6, 24


def item_example(inputs: ItemInputs, rng: np.random.Generator) -> dict[str, Tensor]:
    rows = rng.integers(0, len(inputs.index), EXAMPLE_ITEMS)
    parts = {name: getattr(inputs, name)[rows] for name in ITEM_AXES}
    parts["index"] = np.where(np.arange(EXAMPLE_ITEMS) % 8 == 0, 0, parts["index"])
    return {name: torch.from_numpy(part) for name, part in parts.items() if part.ndim == 1 or part.shape[1]}


def history_example(vectors: Tensor, length: int, rng: np.random.Generator) -> dict[str, Tensor]:
    mask = _history_mask(length, rng)
    picks = torch.from_numpy(rng.integers(0, len(vectors), (EXAMPLE_USERS, length)))
    return {"history": vectors[picks] * mask[..., None], "mask": mask}


def _history_mask(length: int, rng: np.random.Generator) -> Tensor:
    """Of histories of all lengths, the first one empty, the second one full."""
    kept = rng.integers(1, length + 1, EXAMPLE_USERS)
    kept[:2] = 0, length
    return torch.from_numpy((np.arange(length) >= length - kept[:, None]).astype(np.float32))


def ranking_example(
    features: Tensor, schema: FeatureSchema, scale: tuple[float, float], rng: np.random.Generator
) -> dict[str, Tensor]:
    """`scale` is the mean and the deviation of retrieval scores."""
    sizes = [len(feature.vocabulary) + 1 for feature in schema.user if feature.kind == "category"]
    numbers = sum(feature.kind == "number" for feature in schema.user)
    mask = _history_mask(schema.history_length, rng)
    history = torch.from_numpy(rng.integers(0, len(features), tuple(mask.shape)))
    candidates = torch.from_numpy(rng.integers(0, len(features), (EXAMPLE_USERS, EXAMPLE_CANDIDATES)))
    scores = rng.normal(*scale, tuple(candidates.shape))
    example: dict[str, Tensor] = {}
    if sizes:
        example["user_categories"] = torch.from_numpy(np.stack([rng.integers(0, size, EXAMPLE_USERS) for size in sizes], 1))
    if numbers:
        example["user_numbers"] = torch.from_numpy(rng.normal(size=(EXAMPLE_USERS, numbers)).astype(np.float32))
    return {
        **example,
        "history": features[history] * mask[..., None],
        "mask": mask,
        "candidates": features[candidates],
        "retrieval_scores": torch.from_numpy(scores.astype(np.float32)),
    }
