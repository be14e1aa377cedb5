"""How many workers are READY for each model, looked up in the background."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from banquet.core.errors import StageFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LOOK_S = 1.0


class Roster:
    """Counts the workers of every model that it was asked about, again and again. Use it within one event loop."""

    def __init__(self, count: Callable[[str, float], Awaitable[int]]) -> None:
        """`count` takes a model and seconds; it raises `StageFailed` when nobody tells in time."""
        self._count = count
        self._ready: dict[str, int] = {}
        self._looking: asyncio.Task[None] | None = None

    def ready(self, model: str) -> int:
        """Workers at the last look; 0 before it, or when nobody told."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="roster of workers")
        return self._ready.setdefault(model, 0)

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            for model in list(self._ready):
                try:
                    self._ready[model] = await self._count(model, LOOK_S)
                except StageFailed:
                    self._ready[model] = 0
            await asyncio.sleep(LOOK_S)
