"""The index alone: from how many items on lists are quicker than looking at all of them, what they find, and what they cost."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any

import torch

from banquet.releases.index_plan import LISTS_PER_ROOT, SHARES, WANTED, users_of
from banquet.wire.manifest_file import ITEMS
from banquet.wire.tensors import unpack
from bench.scale_release import vectors_like
from handlers.index.exact import Exact
from handlers.index.ivf import CODES, Ivf
from handlers.index.lists import Lists
from handlers.index.plan import RECALL_AT
from handlers.index.recall import best_scores, recall

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from handlers.index.index import Index

SIZES = (10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
QUERIES = 60
CURVE_AT = 20
CURVE_LISTS = 64
SEEN = 20


class All:
    """Items as an index takes them."""

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = torch.cat([torch.zeros(1, vectors.shape[1]), vectors])
        self.shown = torch.arange(len(self.vectors)) > 0
        self.hidden = torch.zeros(1, dtype=torch.int64)


def crossover(release: Path, most: int) -> dict[str, Any]:
    """By number of items, on one thread: p50 of looking at all of them and of lists, in turns; recall, building time and size."""
    trained = unpack((release / ITEMS).read_bytes())[0]["vectors"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            sizes = [_at(release, vectors_like(trained, size, seed=0)) for size in (*[s for s in SIZES if s < most], most)]
            return {
                "by_items": sizes,
                "quicker_from_items": next((its["items"] for its in sizes if its["ivf_ms"] < its["exact_ms"]), None),
                "recall_by_probes_of_trained_items": _curve(release, trained),
                "recall_by_probes_of_made_up_items": _curve(release, vectors_like(trained, len(trained), seed=1)),
            }
    finally:
        torch.set_num_threads(threads)


def _at(release: Path, vectors: NDArray[np.float32]) -> dict[str, Any]:
    lines = All(torch.from_numpy(vectors))
    users = users_of(release, lines.vectors[1:], 1)
    began_s = time.perf_counter()
    lists = Lists.learned(lines.vectors[1:], round(LISTS_PER_ROOT * len(vectors) ** 0.5))
    learned_s = time.perf_counter() - began_s
    exact = Exact()
    best = best_scores(exact, lines, users, min(RECALL_AT, len(vectors)))
    found: dict[str, Any] = {"items": len(vectors), "lists": len(lists), "learning_s": learned_s}
    index = Ivf.over(lines.vectors, lists, "int8", 1, 1)
    for probes in dict.fromkeys(max(1, len(lists) // share) for share in SHARES):
        index = index.probing(probes)
        found |= {"probes": probes, "recall": recall(index, lines, users, best)}
        if found["recall"] >= WANTED:
            break
    began_s = time.perf_counter()
    by_codes = {codes: Ivf.over(lines.vectors, lists, codes, index.probes, 1) for codes in CODES}
    found["building_s"] = (time.perf_counter() - began_s) / len(by_codes)
    found["recall_by_codes"] = {codes: recall(its, lines, users, best) for codes, its in by_codes.items()}
    found["index_mb"] = {codes: its.size_bytes / 2**20 for codes, its in by_codes.items()}
    ms = _in_turns({"exact": exact, **{f"ivf_{codes}": its for codes, its in by_codes.items()}}, lines, users)
    return found | {"exact_ms": ms["exact"], "ivf_ms": ms["ivf_int8"], "ms_by_codes": ms}


def _in_turns(indexes: dict[str, Index], lines: All, users: Tensor) -> dict[str, float]:
    """Medians of processor time: whatever else runs on the machine does not count."""
    took_ms: dict[str, list[float]] = {name: [] for name in indexes}
    seen = torch.randint(1, len(lines.vectors), (1, SEEN))
    for user in users[:QUERIES]:
        for name, index in indexes.items():
            began_s = time.thread_time()
            index.best(lines, user[None, None], seen, RECALL_AT)
            took_ms[name].append((time.thread_time() - began_s) * 1e3)
    return {name: median(times) for name, times in took_ms.items()}


def _curve(release: Path, vectors: NDArray[np.float32]) -> dict[int, float]:
    """Of few items: the share of the best `CURVE_AT` found by how many of `CURVE_LISTS` lists."""
    lines = All(torch.from_numpy(vectors.copy()))
    users = users_of(release, lines.vectors[1:], 1)
    best = best_scores(Exact(), lines, users, CURVE_AT)
    index = Ivf.over(lines.vectors, Lists.learned(lines.vectors[1:], CURVE_LISTS), "float32", 1, 1)
    return {probes: recall(index.probing(probes), lines, users, best) for probes in (2, 4, 8, 16, 32)}
