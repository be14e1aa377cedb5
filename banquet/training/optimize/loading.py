"""The trained torch modules of a release, rebuilt from the programs it was exported to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from banquet.core.errors import BadRelease
from banquet.releases.manifest import verify
from banquet.training.export import TOLERANCE
from banquet.training.graphs import encode_items
from banquet.training.models.ranking import Ranker
from banquet.training.models.retrieval import HistoryEncoder, ItemEncoder, Retrieval
from banquet.training.presets import preset_named
from banquet.training.train import item_widths, ranker_shape
from banquet.wire.manifest_file import GOLDEN
from banquet.wire.tensors import unpack

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor
    from torch.export import ExportedProgram

    from banquet.releases.manifest import Manifest

    Weights = Mapping[str, Tensor]
    Programs = Mapping[str, ExportedProgram]


@dataclass(frozen=True)
class Trained:
    """A release with its modules, ready to be run or trained further."""

    folder: Path
    manifest: Manifest
    retrieval: Retrieval
    ranker: Ranker


def load_trained(folder: Path) -> Trained:
    """Raises `BadRelease` when a file changed, the weights are not those of our models, or the modules compute something else."""
    manifest = verify(folder)
    if precision := manifest.made_from.get("precision"):
        raise BadRelease(
            f"{folder}: its weights are already {precision}; optimize release {manifest.made_from['release']} instead"
        )
    programs = {graph: torch.export.load(folder / "programs" / f"{graph}.pt2") for graph in manifest.models}
    try:
        retrieval, ranker = _retrieval(manifest, programs), _ranker(manifest, programs)
    except (KeyError, RuntimeError) as error:
        raise BadRelease(f"{folder}: not the models that `banquet train` makes now ({error}); train again") from error
    trained = Trained(folder, manifest, retrieval.eval(), ranker.eval())
    _check(trained, programs)
    return trained


def _retrieval(manifest: Manifest, programs: Programs) -> Retrieval:
    settings = preset_named(manifest.preset).retrieval
    items = _below(programs["item_encoder"], "ids.weight")
    history = _below(programs["history_encoder"], "distance")
    dim, (heads, length) = items["ids.weight"].shape[1], history["distance"].shape
    blocks = _count(history, "blocks")
    retrieval = Retrieval(
        ItemEncoder(item_widths(manifest.schema), dim, settings.id_dropout),
        HistoryEncoder(dim, length, blocks, heads, settings.dropout),
    )
    retrieval.items.load_state_dict(items)
    retrieval.history.load_state_dict(history)
    return retrieval


def _ranker(manifest: Manifest, programs: Programs) -> Ranker:
    """Its widths are read from the weights: a release may be smaller than its preset."""
    items = {f"items.{name}": weight for name, weight in _below(programs["ranker_items"], "ids.weight").items()}
    weights = {**_below(programs["ranker"], "user.constant"), **items}
    crosses = _count(weights, "crosses")
    shape = replace(
        ranker_shape(manifest.schema, preset_named(manifest.preset).ranking),
        item_dim=weights["items.ids.weight"].shape[1],
        user_dim=len(weights["user.constant"]),
        attention_dim=len(weights.get("pooling.queries.weight", ())),
        cross_layers=crosses,
        cross_rank=len(weights["crosses.0.down.weight"]) if crosses else 0,
        hidden=tuple(len(weights[f"deep.{layer}.weight"]) for layer in range(_count(weights, "deep"))),
    )
    ranker = Ranker(shape)
    ranker.load_state_dict(weights)
    return ranker


def _below(program: ExportedProgram, landmark: str) -> dict[str, Tensor]:
    """The weights of the one module that has a weight called `landmark`, by their names there."""
    (prefix,) = {name.removesuffix(landmark) for name in program.state_dict if name.endswith(landmark)} or {None}
    if prefix is None:
        raise KeyError(landmark)
    return {
        name.removeprefix(prefix): weight.detach().clone()
        for name, weight in program.state_dict.items()
        if name.startswith(prefix)
    }


def _count(weights: Weights, layers: str) -> int:
    return len({name.split(".")[1] for name in weights if name.startswith(f"{layers}.")})


def _check(trained: Trained, programs: Programs) -> None:
    """The modules give what the golden batch says; the ranker, whose exported form may be another, what its program gives."""
    arrays, _ = unpack((trained.folder / GOLDEN).read_bytes())
    golden = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}

    def given(graph: str) -> dict[str, Tensor]:
        return {name: golden[f"{graph}/in/{name}"] for name in trained.manifest.models[graph]["inputs"]}

    users, items = given("ranker"), given("ranker_items")
    rows = torch.arange(users["mask"].numel()).reshape(users["mask"].shape) % len(items["index"])
    with torch.no_grad():
        history = given("history_encoder")
        _same(
            trained,
            "item_encoder",
            encode_items(trained.retrieval.items, given("item_encoder")),
            golden["item_encoder/out/vectors"],
        )
        _same(trained, "history_encoder", trained.retrieval.history(**history), golden["history_encoder/out/user_vector"])
        features = golden["ranker_items/out/features"]
        feeds = {**users, "history": features[rows] * users["mask"][..., None], "candidates": features[rows]}
        feeds["retrieval_scores"] = torch.zeros(rows.shape)
        _same(trained, "ranker", _scores(trained.ranker, items, rows, feeds), programs["ranker"].module()(*feeds.values()))


def _scores(ranker: Ranker, items: dict[str, Tensor], rows: Tensor, feeds: dict[str, Tensor]) -> Tensor:
    """What the ranker of training says of items [B, C] after a history of the same."""
    known = encode_items(ranker.items, items)
    if ranker.shape.activity:
        known = torch.cat([known, items["numbers"][:, ranker.shape.items.numbers :]], -1)
    user = ranker.user(feeds.get("user_categories"), feeds.get("user_numbers")).expand(len(rows), -1)[:, None]
    correction, like = ranker(user, known[rows], feeds["mask"][:, None], known[rows], feeds["retrieval_scores"])
    return ranker.score(feeds["retrieval_scores"], correction, like)


def _same(trained: Trained, graph: str, got: Tensor, expected: Tensor) -> None:
    if got.shape != expected.shape or not torch.allclose(got, expected, rtol=TOLERANCE, atol=TOLERANCE):
        raise BadRelease(f"{trained.folder}: {graph} computes something else than its weights in today's models; train again")
