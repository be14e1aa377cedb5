"""Whether a model works: its worker is READY and a canary prediction came back.

TorchServe's own Ping is no help: it says Healthy while models are loading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from banquet.core.errors import StageFailed
from banquet.inference.failures import UNAVAILABLE
from banquet.inference.stacking import stack

if TYPE_CHECKING:
    from banquet.core.stages import ModelJob, ModelRun
    from banquet.inference.client import TorchServeClient


async def run_canary(client: TorchServeClient, canary: ModelJob, timeout_s: float) -> ModelRun:
    """Who answered the canary, asked past the lanes and breakers that queries use.

    Raises `StageFailed` saying why the model cannot serve. Without a management address the prediction alone decides.
    """
    if client.can_describe:
        loaded = await client.describe(canary.model, timeout_s)
        if not loaded.ready:
            workers = ", ".join(loaded.workers) or "none"
            raise StageFailed(UNAVAILABLE, f"{canary.model} {loaded.version} is not ready; its workers: {workers}")
    return (await client.run(canary.model, canary.catalogue, stack([canary.arrays]), timeout_s)).run
