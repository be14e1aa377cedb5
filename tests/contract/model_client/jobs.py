"""Jobs for the models of `tests.release_factory`: one user category, two user numbers, vectors of 16."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import numpy as np

from banquet.core.errors import StageFailed
from banquet.core.stages import ModelJob
from banquet.inference.readiness import run_canary
from tests.release_factory import DIM

if TYPE_CHECKING:
    from banquet.inference.client import TorchServeClient

DEFAULTS = {
    "history": np.array([3, 5, 8], np.int32),
    "seen": np.array([3, 5, 8], np.int32),
    "limit": np.array([10], np.int32),
    "user_categories": np.array([1], np.int32),
    "user_numbers": np.array([0.5, -0.5], np.float32),
    "user_vector": np.linspace(-1, 1, DIM, dtype=np.float32),
    "rows": np.array([7, 9, 11, 13], np.int32),
}
INPUTS = {
    "retrieval": ("history", "seen", "limit"),
    "ranking": ("history", "user_categories", "user_numbers", "user_vector", "rows"),
    "cascade": ("history", "seen", "limit", "user_categories", "user_numbers"),
}
OPTIONAL = ("allowed",)


def job(model: str, catalogue: str, **arrays) -> ModelJob:
    given = {name: np.array(values, DEFAULTS[name].dtype if name in DEFAULTS else np.int32) for name, values in arrays.items()}
    optional = {name: given[name] for name in OPTIONAL if name in given}
    return ModelJob(model, catalogue, {name: given.get(name, DEFAULTS[name]) for name in INPUTS[model]} | optional)


async def until_ready(client: TorchServeClient, canary: ModelJob, patience_s: float = 90.0) -> None:
    give_up_s = time.monotonic() + patience_s
    while True:
        try:
            await run_canary(client, canary, 2.0)
        except StageFailed:
            if time.monotonic() > give_up_s:
                raise
            await asyncio.sleep(0.05)
        else:
            return
