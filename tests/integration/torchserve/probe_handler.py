"""A TorchServe handler whose answers a test can work out, and which fails as asked.

rows [B, K]: each history backwards, without what was seen, cut to the limit; scores: half the row; user_vector [B, 3]: sum and
number of the history's rows, and B. The catalogue of a job says how to behave: `slow <ms>`, `raise`, `oom`, `cuda`, `exit`,
`garbage`, `stale`, `large <bytes>`.
"""

from __future__ import annotations

import logging
import os
import time

import numpy as np

from banquet.wire.tensors import pack, unpack


class Probe:
    def initialize(self, context):
        logging.getLogger().setLevel(logging.WARNING)

    def handle(self, requests, context):
        return [self.answer(*unpack(next(iter(request.values())))) for request in requests]

    def answer(self, arrays, metadata):
        behaviour, _, value = metadata["catalogue"].partition(" ")
        if behaviour == "slow":
            time.sleep(float(value) / 1e3)
        elif behaviour == "raise":
            raise ValueError("as asked")
        elif behaviour == "oom":
            raise MemoryError
        elif behaviour == "exit":
            os._exit(1)
        elif behaviour == "garbage":
            return b"not tensors"
        elif behaviour == "cuda":
            raise RuntimeError("CUDA error: out of memory")
        elif behaviour == "large":
            return pack({"rows": np.zeros((1, int(value)), np.int8)}, {})
        elif behaviour == "stale":
            return pack({}, {"error": "stale_catalogue", "detail": "as asked"})
        return pack(
            self.predict(arrays), {"backend": "probe", "release": "r1", "catalogue": metadata["catalogue"], "model_ms": "0.5"}
        )

    def predict(self, arrays):
        found = []
        for history, seen, limit in zip(arrays["history"], arrays["seen"], arrays["limit"], strict=True):
            fresh = [row for row in history[::-1] if row >= 0 and row not in seen]
            found.append(fresh[: limit[0]])
        width = max(map(len, found))
        rows = np.array([row + [-1] * (width - len(row)) for row in found], np.int32).reshape(len(found), width)
        history = arrays["history"]
        sums = np.where(history >= 0, history, 0).sum(1)
        vectors = np.stack([sums, (history >= 0).sum(1), np.full(len(history), len(history))], 1)
        return {"rows": rows, "scores": rows.astype(np.float32) / 2, "user_vector": vectors.astype(np.float32)}
