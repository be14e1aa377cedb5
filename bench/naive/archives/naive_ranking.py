"""TorchServe handler: features of a user, of the candidates and of the history -> a score per candidate."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from banquet.wire.tensors import pack, unpack
from handlers.engines.choice import choose
from handlers.release_files import ReleaseFiles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

GRAPHS = ["ranker_items", "ranker"]


class NaiveRanking:
    """One request at a time; the item tensors hold the candidates, best first, and then the history, newest first."""

    def initialize(self, _context: Any) -> None:
        release = ReleaseFiles(Path(os.environ["NAIVE_RELEASE"]), GRAPHS)
        threads = int(os.environ["NAIVE_THREADS"])
        self._loaded = choose(release, GRAPHS, backend=os.environ["NAIVE_BACKEND"], threads=threads)

    def handle(self, requests: list[dict[str, bytearray]], _context: Any) -> list[bytes]:
        return [self._answer(unpack(request["data"])[0]) for request in requests]

    def _answer(self, tensors: dict[str, Any]) -> bytes:
        started_s = time.perf_counter()
        features = self._run("ranker_items", tensors)
        candidates = tensors["retrieval_scores"].shape[1]
        oldest_first = features[candidates:][::-1]
        mask = np.ones((1, len(oldest_first)), np.float32)
        if not len(oldest_first):
            oldest_first, mask = np.zeros((1, features.shape[1]), np.float32), np.zeros((1, 1), np.float32)
        feeds = {
            "user_categories": tensors["user_categories"],
            "user_numbers": tensors["user_numbers"],
            "history": np.ascontiguousarray(oldest_first)[None],
            "mask": mask,
            "candidates": features[None, :candidates],
            "retrieval_scores": tensors["retrieval_scores"],
        }
        scores = self._run("ranker", feeds)
        model_ms = (time.perf_counter() - started_s) * 1000
        return pack({"scores": scores}, {"model_ms": str(model_ms), "backend": self._loaded.backend})

    def _run(self, graph: str, feeds: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        tensors = {name: torch.tensor(values) for name, values in feeds.items()}
        (output,) = self._loaded.graphs[graph].run(tensors).values()
        computed: NDArray[np.float32] = output.numpy()
        return computed
