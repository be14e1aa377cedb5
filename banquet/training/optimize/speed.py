"""How large and how fast the graphs of releases are, side by side on one thread of ONNX Runtime."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from banquet.wire.manifest_file import GOLDEN
from banquet.wire.tensors import unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CANDIDATES = 500
ROUNDS = 400
# Of the one query that is timed: how often each axis repeats what the golden batch has.
AXES = {"history": "BL", "mask": "BL", "candidates": "BC", "retrieval_scores": "BC"}


def graph_bytes(folder: Path) -> int:
    """Bytes of the graphs, with any weights beside them, that ONNX Runtime loads."""
    return sum(path.stat().st_size for path in (folder / "graphs").iterdir())


def program_bytes(folder: Path) -> int:
    """Bytes of the exported programs, the fallback where there is no ONNX Runtime."""
    return sum(path.stat().st_size for path in (folder / "programs").iterdir())


def side_by_side(
    folders: Sequence[Path], history_length: int, advance: Callable[[], None], rounds: int = ROUNDS
) -> list[dict[str, float]]:
    """Each folder's `p50_ms` of ranking 500 candidates of one query with a full history, and how many `requests_per_s` one thread
    makes of its two graphs, history encoder and ranker. Runs are interleaved, so that all see the same machine.
    """
    sizes = {"B": 1, "C": CANDIDATES, "L": history_length}
    graphs = [[_one_query(folder, graph, sizes) for graph in ("history_encoder", "ranker")] for folder in folders]
    took_s = np.zeros((rounds, len(folders), 2))
    for taken in took_s:
        for at, pair in enumerate(graphs):
            for place, run in enumerate(pair):
                began_s = time.perf_counter()
                run()
                taken[at, place] = time.perf_counter() - began_s
        advance()
    history_s, ranker_s = np.moveaxis(np.median(took_s, 0), 1, 0)
    return [
        {"p50_ms": float(ranking) * 1e3, "requests_per_s": 1 / float(encoding + ranking)}
        for encoding, ranking in zip(history_s, ranker_s, strict=True)
    ]


def _one_query(folder: Path, graph: str, sizes: Mapping[str, int]) -> Callable[[], Any]:
    """Runs a graph on one query made of the golden batch."""
    arrays, _ = unpack((folder / GOLDEN).read_bytes())
    given = f"{graph}/in/"
    feeds = {name.removeprefix(given): array for name, array in arrays.items() if name.startswith(given)}
    feeds = {name: _resized(name, array, sizes) for name, array in feeds.items()}
    feeds["mask"] = np.ones_like(feeds["mask"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = folder / "graphs" / f"{graph}.onnx"
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, feeds)


def _resized(name: str, array: NDArray[Any], sizes: Mapping[str, int]) -> NDArray[Any]:
    for axis, dimension in enumerate(AXES.get(name, "B")):
        array = np.take(array, np.arange(sizes[dimension]) % array.shape[axis], axis)
    return np.ascontiguousarray(array)
