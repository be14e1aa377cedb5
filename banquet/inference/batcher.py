"""The gateway's `ModelClient`: one lane per model, in front of any host."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from banquet.inference.lane import Lane, LaneLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from banquet.core.stages import ModelAnswer, ModelJob
    from banquet.inference.host import ModelHost


class Batcher:
    """Joins concurrent queries for the same model and catalogue into one call. Use it within one event loop."""

    def __init__(
        self, host: ModelHost, limits: LaneLimits | None = None, canary: Callable[[str], ModelJob | None] = lambda _: None
    ) -> None:
        """`canary` gives a job of a model that any worker can do, for as long as none has gone well yet."""
        self._canary = canary
        self._host = host
        self._limits = limits or LaneLimits()
        self._lanes: dict[str, Lane] = {}

    async def predict(self, job: ModelJob, timeout_s: float) -> ModelAnswer:
        lane = self._lanes.get(job.model)
        if lane is None:
            lane = self._lanes[job.model] = Lane(job.model, self._host, self._limits, partial(self._canary, job.model))
        return await lane.ask(job, timeout_s)

    async def close(self) -> None:
        for lane in self._lanes.values():
            await lane.close()
