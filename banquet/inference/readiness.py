"""Whether a model works: its host has a worker READY for it and a canary prediction came back.

TorchServe's own Ping is no help: it says Healthy while models are loading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from banquet.inference.stacking import stack

if TYPE_CHECKING:
    from banquet.core.stages import ModelJob, ModelRun
    from banquet.inference.host import ModelHost


async def run_canary(host: ModelHost, canary: ModelJob, timeout_s: float) -> ModelRun:
    """Who answered the canary, asked past the lanes and breakers that queries use.

    Raises `StageFailed` saying why the model cannot serve. A TorchServe without a management address is asked for the prediction
    alone.
    """
    await host.check(canary.model, timeout_s)
    return (await host.run(canary.model, canary.catalogue, stack([canary.arrays]), timeout_s)).run
