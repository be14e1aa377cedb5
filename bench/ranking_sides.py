"""What can rank candidates on this machine: the model as trained and as served, every engine, and narrower numbers."""

from __future__ import annotations

import logging
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16
from torch.nn.functional import embedding

from banquet.releases.manifest import load
from banquet.training.models.ranking import Ranker
from banquet.training.models.served_ranking import ServedRanker
from banquet.training.presets import preset_named
from banquet.training.train import ranker_shape
from handlers.engines.choice import engines
from handlers.engines.engine import EngineFailed
from handlers.engines.onnxruntime import OnnxRuntimeEngine
from handlers.release_files import ReleaseFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    Scores = Callable[[dict[str, Tensor]], Tensor]

GRAPHS = ("ranker_items", "ranker")
TRAINED, SERVED = "eager, as trained", "eager"
TABLE = 4096


@dataclass(frozen=True)
class Side:
    """Scores candidates whose lines [N, width] lie beside it; `width` is how much of a served line it wants.

    `served` says that a worker can choose it; the others are there to be compared.
    """

    name: str
    scores: Scores
    width: int
    dtype: torch.dtype = torch.float32
    served: bool = False


@dataclass(frozen=True)
class Question:
    """Queries with full histories over one table of lines, made of the golden batch of a release."""

    users: dict[str, Tensor]
    lines: Tensor
    history: Tensor
    candidates: Tensor
    retrieval_scores: Tensor

    @classmethod
    def drawn(cls, release: ReleaseFiles, queries: int, candidates: int) -> Question:
        """Users, items and scores are drawn from the golden batch, by a seed."""
        draw = torch.Generator().manual_seed(7)
        given = {name: torch.from_numpy(array.copy()) for name, array in release.golden("ranker")[0].items()}
        known = torch.from_numpy(release.golden("ranker_items")[1]["features"].copy())

        def picks(most: int, *shape: int) -> Tensor:
            return torch.randint(most, shape, generator=draw)

        who = picks(len(given["mask"]), queries)
        spread = given["retrieval_scores"].flatten()
        return cls(
            {name: given[name][who] for name in ("user_categories", "user_numbers") if name in given},
            known[picks(len(known), TABLE)],
            picks(TABLE, queries, release.manifest.schema.history_length),
            picks(TABLE, queries, candidates),
            spread[picks(len(spread), queries, candidates)],
        )

    def asked(self, side: Side) -> Callable[[], Tensor]:
        """What one job costs: the gathering of its lines, and the scores."""
        lines = self.lines[:, : side.width].to(side.dtype).contiguous()
        users = {name: tensor.to(side.dtype) if tensor.is_floating_point() else tensor for name, tensor in self.users.items()}
        scores = self.retrieval_scores.to(side.dtype)
        mask = torch.ones(self.history.shape, dtype=side.dtype)

        def ask() -> Tensor:
            had, candidates = embedding(self.history, lines), embedding(self.candidates, lines)
            feeds = {**users, "history": had, "mask": mask, "candidates": candidates, "retrieval_scores": scores}
            return side.scores(feeds)

        return ask


def sides(folder: Path, made: Path, threads: int) -> Iterator[Side]:
    """All that work here; `made` is a folder for narrower graphs. The first is the model as it was trained."""
    torch.set_num_threads(threads)
    release = ReleaseFiles(folder, GRAPHS)
    ranker = trained_ranker(folder)
    width = release.golden("ranker_items")[1]["features"].shape[1]
    yield Side(TRAINED, _trained(ranker), width - 1)
    for engine in engines(threads):
        try:
            yield Side(engine.name, _run(engine.load(release, "ranker")), width, served=True)
        except EngineFailed as error:
            print(f"  left out: {engine.name}: {error}")
    narrow = deepcopy(ranker).to(torch.bfloat16)
    yield Side("eager, bf16", _served(narrow, ServedRanker(narrow)), width, torch.bfloat16)
    for name, path in _narrower(release.onnx("ranker"), made):
        engine = OnnxRuntimeEngine(threads)
        yield Side(f"{engine.name}, {name}", _run(engine.load(cast("ReleaseFiles", _Elsewhere(path)), "ranker")), width)


def trained_ranker(folder: Path) -> Ranker:
    """The torch module that a release of ours was exported from."""
    manifest = load(folder)
    prefix = "module.ranker."
    weights = torch.export.load(folder / "programs" / "ranker.pt2").state_dict
    ranker = Ranker(ranker_shape(manifest.schema, preset_named(manifest.preset).ranking))
    ranker.load_state_dict({name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)})
    return ranker.eval()


@dataclass(frozen=True)
class _Elsewhere:
    """A graph that is no release's."""

    path: Path

    def onnx(self, _graph: str) -> Path:
        return self.path


def _narrower(path: Path, made: Path) -> Iterator[tuple[str, Path]]:
    # It advises what to do about images.
    logging.getLogger().setLevel(logging.ERROR)
    int8, fp16 = made / "ranker.int8.onnx", made / "ranker.fp16.onnx"
    quantize_dynamic(path, int8, weight_type=QuantType.QInt8)
    yield "int8", int8
    onnx.save(convert_float_to_float16(onnx.load(path), keep_io_types=True), fp16)
    yield "fp16", fp16


def _run(graph: Any) -> Scores:
    def scores(feeds: dict[str, Tensor]) -> Tensor:
        (found,) = graph.run(feeds).values()
        return cast("Tensor", found)

    return scores


def _trained(ranker: Ranker) -> Scores:
    @torch.inference_mode()
    def scores(feeds: dict[str, Tensor]) -> Tensor:
        user = ranker.user(feeds.get("user_categories"), feeds.get("user_numbers"))[:, None]
        near = feeds["retrieval_scores"]
        return ranker.score(near, *ranker(user, feeds["history"], feeds["mask"][:, None], feeds["candidates"], near))

    return scores


def _served(ranker: Ranker, served: ServedRanker) -> Scores:
    @torch.inference_mode()
    def scores(feeds: dict[str, Tensor]) -> Tensor:
        user = ranker.user(feeds.get("user_categories"), feeds.get("user_numbers"))
        near = feeds["retrieval_scores"]
        return ranker.score(near, *served(user, feeds["history"], feeds["mask"], feeds["candidates"], near))

    return scores
