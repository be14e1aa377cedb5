"""TorchServe handler: item ids of a history -> the best item ids and their scores."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from banquet.wire.manifest_file import ITEMS
from banquet.wire.tensors import unpack
from handlers.engines.choice import choose
from handlers.release_files import ReleaseFiles


class NaiveRetrieval:
    """One request at a time, all item vectors beside the model."""

    def initialize(self, _context: Any) -> None:
        folder = Path(os.environ["NAIVE_RELEASE"])
        release = ReleaseFiles(folder, ["history_encoder"])
        threads = int(os.environ["NAIVE_THREADS"])
        self._loaded = choose(release, ["history_encoder"], backend=os.environ["NAIVE_BACKEND"], threads=threads)
        self._ids = release.manifest.schema.item_ids
        self._rows = {item: row for row, item in enumerate(self._ids)}
        self._vectors = unpack((folder / ITEMS).read_bytes())[0]["vectors"]

    def handle(self, requests: list[dict[str, bytearray]], _context: Any) -> list[bytes]:
        return [self._answer(json.loads(request["data"])) for request in requests]

    def _answer(self, asked: dict[str, Any]) -> bytes:
        started_s = time.perf_counter()
        seen = [self._rows[item] for item in asked["history"] if item in self._rows]
        oldest_first = self._vectors[seen[::-1]] if seen else np.zeros((1, self._vectors.shape[1]), np.float32)
        mask = np.full((1, len(oldest_first)), 1.0 if seen else 0.0, np.float32)
        feeds = {"history": torch.tensor(oldest_first[None]), "mask": torch.from_numpy(mask)}
        (user,) = self._loaded.graphs["history_encoder"].run(feeds).values()
        scores = self._vectors @ user[0].numpy()
        scores[seen] = -np.inf
        top = np.argpartition(-scores, min(asked["limit"], len(scores) - 1))[: asked["limit"]]
        top = top[np.argsort(-scores[top])]
        top = top[np.isfinite(scores[top])]
        answer = {
            "item_ids": [self._ids[row] for row in top],
            "scores": scores[top].tolist(),
            "model_ms": (time.perf_counter() - started_s) * 1000,
            "backend": self._loaded.backend,
        }
        return json.dumps(answer).encode()
