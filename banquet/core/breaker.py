"""Stops asking what keeps failing, so that a dead model or store costs queries nothing and is left in peace."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from banquet.core.errors import StageFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

PATIENCE = 3
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.5


class Breaker:
    """Opens on a certain failure, or after several doubtful ones in a row, and half-opens when the canary comes back.

    The canary is sent here, again and again while open, so that no query pays for finding out: a trickle of queries would. It
    raises `StageFailed` while `name` does not answer. Half-open, queries are asked again; the first failure opens it anew and its
    pauses go on growing, the first success closes it. So what does for a canary and fails under queries costs one of them, not
    `PATIENCE`, each time.
    """

    def __init__(self, name: str, canary: Callable[[], Awaitable[object]]) -> None:
        self._name = name
        self._canary = canary
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self._probing: asyncio.Task[None] | None = None
        self.is_half_open = False

    @property
    def is_open(self) -> bool:
        return self._probing is not None

    def succeeded(self) -> None:
        self._failures = 0
        if self.is_half_open:
            self.is_half_open = False
            self._pause_s = FIRST_PAUSE_S

    def failed(self, *, certain: bool) -> None:
        self._failures += 1
        if self._probing is None and (certain or self.is_half_open or self._failures >= PATIENCE):
            log.warning("%s does not answer; queries do without it", self._name)
            self.is_half_open = False
            self._probing = asyncio.create_task(self._probe(), name=f"canary of {self._name}")

    async def close(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    async def _probe(self) -> None:
        while True:
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            try:
                await self._canary()
            except StageFailed as error:
                log.debug("the canary of %s: %s", self._name, error)
                continue
            except Exception:
                # Without another try it would never be asked again.
                log.exception("the canary of %s failed", self._name)
                continue
            break
        log.warning("%s answers again", self._name)
        self._failures = 0
        self._probing = None
        self.is_half_open = True
