"""Makes small but whole releases and catalogues in seconds: real graphs with the real signatures, weights drawn from a seed.

release = make_release(tmp_path / "releases", items=60)
version = make_catalogue(tmp_path / "catalogue", items=60)
"""

from __future__ import annotations

import atexit
import logging
import time
import warnings
from functools import lru_cache
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from banquet.releases import manifest, registry
from banquet.wire.catalogue_file import Column, Strings, write_catalogue
from banquet.wire.schema import Feature, FeatureSchema, ItemInputs
from banquet.wire.tensors import pack

DIM = 16
RANKER_DIM = 12
GENRES = ("action", "comedy", "drama", "horror")
COLOURS = ("red", "green", "blue")


def item_ids(count: int) -> list[str]:
    return [f"i{number}" for number in range(count)]


def make_schema(items: int = 60, history_length: int = 8) -> FeatureSchema:
    """Features of every kind, over the items i0 .. i<items - 1>."""
    return FeatureSchema(
        user=(
            Feature("gender", "user_profile", "category", ("F", "M")),
            Feature("age", "user_profile", "number", mean=35.0, scale=12.0),
            Feature("interaction_count", "user_activity", "number", mean=3.0, scale=1.5, log=True),
        ),
        item=(
            Feature("colour", "item_profile", "category", COLOURS),
            Feature("genres", "item_profile", "categories", GENRES),
            Feature("year", "item_profile", "number", mean=1990.0, scale=10.0),
            Feature("interaction_count", "item_activity", "number", mean=3.0, scale=1.5, log=True),
        ),
        history_length=history_length,
        item_ids=tuple(item_ids(items)),
    )


def make_release(
    root: Path, *, items: int = 60, history_length: int = 8, seed: int = 0, dim: int = DIM, interests: int = 1
) -> Path:
    """A sealed release in `root/<version>`, in force there. Exporting takes seconds, once per process and arguments."""
    made = _made(items, history_length, seed, dim, interests)
    place = root / made.name
    if not place.exists():
        copytree(made, place)
    registry.put_in_force(root, place.name)
    return place


def make_modules(items: int = 60, seed: int = 0, dim: int = DIM, interests: int = 1) -> dict[str, nn.Module]:
    """The torch modules a release of the same arguments was exported from."""
    torch.manual_seed(seed)
    modules = {
        "item_encoder": ItemEncoder(items, dim, len(GENRES), 2),
        "history_encoder": HistoryEncoder(dim, interests),
        "ranker_items": ItemEncoder(items, RANKER_DIM, len(GENRES), 2),
        "ranker": Ranker(2, 2, RANKER_DIM),
    }
    return {name: module.eval() for name, module in modules.items()}


@lru_cache
def _made(items: int, history_length: int, seed: int, dim: int, interests: int) -> Path:
    folder = Path(mkdtemp(prefix="banquet-release-"))
    atexit.register(rmtree, folder, ignore_errors=True)
    making = folder / "making"
    (making / "graphs").mkdir(parents=True)
    (making / "programs").mkdir()
    schema = make_schema(items, history_length)
    rng = np.random.default_rng(seed)
    modules = make_modules(items, seed, dim, interests)
    models: dict[str, dict[str, Any]] = {}
    golden: dict[str, np.ndarray] = {}
    vectors = None
    for name, inputs, dynamic in _graphs(schema, rng, dim):
        module = modules[name]
        outputs = _export(making, name, module, inputs, dynamic)
        models[name] = {"inputs": list(inputs), "outputs": list(outputs)}
        golden |= {f"{name}/in/{key}": value.numpy() for key, value in inputs.items()}
        golden |= {f"{name}/out/{key}": value.numpy() for key, value in outputs.items()}
        if name == "item_encoder":
            vectors = module(*_item_inputs(rng, np.arange(1, items + 1), schema).values()).detach().numpy()
    ids = Strings.of(schema.item_ids)
    (making / "items.safetensors").write_bytes(pack({"ids.blob": ids.blob, "ids.offsets": ids.offsets, "vectors": vectors}))
    (making / "golden.safetensors").write_bytes(pack(golden))
    metrics = {"retrieval": {"ndcg@10": 0.1}}
    manifest.seal(making, schema=schema, models=models, metrics=metrics, dataset="factory", preset="quick", seed=seed)
    return registry.add(folder, making)


def make_catalogue(
    folder: Path,
    *,
    items: int = 60,
    seed: int = 0,
    unavailable: tuple[int, ...] = (),
    new_items: int = 0,
    without: tuple[str, ...] = (),
) -> str:
    """Publish a catalogue of i0 .. i<items - 1> and of n0 .. that training never saw, and return its version."""
    rng = np.random.default_rng(seed)
    ids = item_ids(items) + [f"n{number}" for number in range(new_items)]
    n = len(ids)
    lengths = rng.integers(0, 3, n)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    available = np.ones(n, np.bool_)
    available[list(unavailable)] = False
    columns = {
        "available": Column("number", "item_profile", available),
        "title": Column("category", "item_profile", np.arange(n, dtype=np.int32), Strings.of(f"Title of {item}" for item in ids)),
        # The catalogue's vocabulary has an order of its own and a value no model knows.
        "colour": Column(
            "category", "item_profile", rng.integers(-1, 4, n).astype(np.int32), Strings.of(["blue", "red", "mauve", "green"])
        ),
        "genres": Column(
            "categories", "item_profile", rng.integers(0, 4, offsets[-1]).astype(np.int32), Strings.of(GENRES[::-1]), offsets
        ),
        "year": Column("number", "item_profile", rng.integers(1950, 2020, n).astype(np.int64)),
        "interaction_count": Column("number", "item_activity", rng.integers(0, 500, n).astype(np.int64)),
        "rating_mean": Column("number", "item_activity", rng.uniform(1, 5, n).astype(np.float32)),
    }
    views = ("item_profile", "item_activity")
    return write_catalogue(
        folder,
        ids,
        {name: column for name, column in columns.items() if name not in without},
        statuses={view: np.full(n, 2, np.uint8) for view in views},
        event_times_us={view: np.full(n, 1_700_000_000_000_000, np.int64) for view in views},
        confirmed_at_s=time.time(),
    )


class ItemEncoder(nn.Module):
    def __init__(self, items: int, width: int, lists: int, numbers: int) -> None:
        super().__init__()
        self.items = nn.Embedding(items + 1, width, padding_idx=0)
        self.colours = nn.Embedding(len(COLOURS) + 1, width)
        self.content = nn.Linear(lists + numbers, width)

    def forward(self, index: Tensor, categories: Tensor, lists: Tensor, numbers: Tensor) -> Tensor:
        return self.items(index) + self.colours(categories[:, 0]) + self.content(torch.cat([lists, numbers], 1))


class HistoryEncoder(nn.Module):
    """Newer items count for more; positions count from the end. Each further interest sees a shorter past, [B, M, d]."""

    def __init__(self, width: int, interests: int = 1) -> None:
        super().__init__()
        self.mix = nn.Linear(width, width)
        self.interests = interests

    def forward(self, history: Tensor, mask: Tensor) -> Tensor:
        age = mask.flip(1).cumsum(1).flip(1)
        vectors = []
        for interest in range(self.interests):
            weights = mask * torch.exp(-0.3 * (1 + 2 * interest) * age)
            pooled = (history * weights.unsqueeze(2)).sum(1) / (weights.sum(1, keepdim=True) + 1e-6)
            vectors.append(pooled + torch.tanh(self.mix(pooled)))
        return vectors[0] if self.interests == 1 else torch.stack(vectors, 1)


class Ranker(nn.Module):
    def __init__(self, genders: int, numbers: int, width: int) -> None:
        super().__init__()
        self.genders = nn.Embedding(genders + 1, 4)
        self.user = nn.Linear(4 + numbers, width)
        self.deep = nn.Linear(3 * width + 1, 16)
        self.out = nn.Linear(16, 1)

    def forward(
        self,
        user_categories: Tensor,
        user_numbers: Tensor,
        history: Tensor,
        mask: Tensor,
        candidates: Tensor,
        retrieval_scores: Tensor,
    ) -> Tensor:
        user = self.user(torch.cat([self.genders(user_categories[:, 0]), user_numbers], 1))
        liked = (history * mask.unsqueeze(2)).sum(1) / (mask.sum(1, keepdim=True) + 1e-6)
        known = torch.cat([user, liked], 1).unsqueeze(1)
        known = known.expand(known.shape[0], candidates.shape[1], known.shape[2])
        both = torch.cat([known, candidates * liked.unsqueeze(1), retrieval_scores.unsqueeze(2)], 2)
        return self.out(torch.relu(self.deep(both)))[:, :, 0] + candidates.sum(2)


def _item_inputs(rng: np.random.Generator, index: np.ndarray, schema: FeatureSchema) -> dict[str, Tensor]:
    n = len(index)
    shares = rng.dirichlet(np.ones(len(GENRES)), n).astype(np.float32)
    inputs = ItemInputs(
        index.astype(np.int64), rng.integers(0, len(COLOURS) + 1, (n, 1)), shares, rng.normal(size=(n, 2)).astype(np.float32)
    )
    return {name: torch.from_numpy(getattr(inputs, name)) for name in ("index", "categories", "lists", "numbers")}


def _graphs(schema: FeatureSchema, rng: np.random.Generator, dim: int) -> list[tuple[str, dict[str, Tensor], dict[str, Any]]]:
    b, c, n, length = 6, 24, 20, schema.history_length
    items = len(schema.item_ids)
    kept = rng.integers(0, length + 1, b)
    mask = torch.from_numpy((np.arange(length) >= length - kept[:, None]).astype(np.float32))

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(rng.normal(size=shape).astype(np.float32))

    encoded = _item_inputs(rng, rng.integers(0, items + 1, n), schema)
    per_item = {name: {0: "N"} for name in encoded}
    history = {"history": normal(b, length, dim) * mask.unsqueeze(2), "mask": mask}
    ranking = {
        "user_categories": torch.from_numpy(rng.integers(0, 3, (b, 1))),
        "user_numbers": normal(b, 2),
        "history": normal(b, length, RANKER_DIM) * mask.unsqueeze(2),
        "mask": mask,
        "candidates": normal(b, c, RANKER_DIM),
        "retrieval_scores": normal(b, c),
    }
    per_query = {"history": {0: "B", 1: "L"}, "mask": {0: "B", 1: "L"}}
    per_pair = {
        "user_categories": {0: "B"},
        "user_numbers": {0: "B"},
        "candidates": {0: "B", 1: "C"},
        "retrieval_scores": {0: "B", 1: "C"},
    }
    return [
        ("item_encoder", encoded, per_item),
        ("history_encoder", history, per_query),
        ("ranker_items", encoded, per_item),
        ("ranker", ranking, {name: {**per_query, **per_pair}[name] for name in ranking}),
    ]


OUTPUTS = {"item_encoder": "vectors", "history_encoder": "user_vector", "ranker_items": "features", "ranker": "scores"}


def _export(folder: Path, name: str, module: nn.Module, inputs: dict[str, Tensor], dynamic: dict[str, Any]) -> dict[str, Tensor]:
    dims = {axis: torch.export.Dim(axis, min=1, max=65536) for axes in dynamic.values() for axis in axes.values()}
    shapes = {key: {axis: dims[dim] for axis, dim in axes.items()} for key, axes in dynamic.items()}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module, tuple(inputs.values()), dynamic_shapes=shapes)
        torch.export.save(program, folder / "programs" / f"{name}.pt2")
        exported = torch.onnx.export(program, dynamo=True, input_names=list(inputs), output_names=[OUTPUTS[name]], verbose=False)
        assert exported is not None
        exported.save(str(folder / "graphs" / f"{name}.onnx"))
        return {OUTPUTS[name]: module(*inputs.values())}
