"""A model host in the test's own hands."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from banquet.core.errors import StageFailed
from banquet.core.stages import ModelJob, ModelRun
from banquet.inference.host import StackedAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass
class FakeHost:
    """Doubles `value` after `delay_s`, or fails with `error`; `calls` are the batch sizes. Waits for `gate` when it is closed."""

    workers: int = 1
    delay_s: float = 0.0
    error: Exception | None = None
    calls: list[int] = field(default_factory=list)
    timeouts_s: list[float] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def run(self, model: str, catalogue: str, arrays: Mapping[str, NDArray[Any]], timeout_s: float) -> StackedAnswer:
        self.calls.append(len(arrays["value"]))
        self.timeouts_s.append(timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                await self.gate.wait()
                await asyncio.sleep(self.delay_s)
        except TimeoutError as error:
            raise StageFailed("timeout") from error
        if self.error is not None:
            raise self.error
        return StackedAnswer({"double": arrays["value"] * 2}, ModelRun("r1", "fake", 0.1))

    def capacity(self, model: str) -> int:
        return self.workers

    async def check(self, model: str, timeout_s: float) -> None:
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        self.gate.set()


def number(value: int, *, catalogue: str = "c1", width: int = 1) -> ModelJob:
    return ModelJob("m", catalogue, {"value": np.full(width, value, np.int32)})
