"""One host's standing for one model among several: what it has to do, how long it takes, and whether it is asked at all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from banquet.core.breaker import Breaker
from banquet.core.errors import StageFailed
from banquet.inference.failures import AGAINST_THE_MODEL, TIMEOUT, UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from numpy.typing import NDArray

    from banquet.inference.host import ModelHost, StackedAnswer

    Arrays = Mapping[str, NDArray[Any]]

CANARY_S = 2.0
# A time-out that came sooner says nothing about the host.
FAIR_CHANCE_S = 0.02
# A host is slow when its calls take so many times as long as those of the quickest other one, and so much longer.
SLOW_TIMES, SLOW_BY_S = 3.0, 0.05
# So many calls are an opinion; each counts for so much of the average.
ENOUGH_CALLS, NEWEST = 5, 0.2


class Seat:
    """A host that serves a model. Its breaker is open while it fails or is slow."""

    def __init__(self, name: str, model: str, host: ModelHost, quickest_other_s: Callable[[Seat], float | None]) -> None:
        """`quickest_other_s` is None while nothing is known of any other host that works."""
        self.model = model
        self.host = host
        self.breaker = Breaker(f"{model} at {name}", self._send_canary)
        self._quickest_other_s = quickest_other_s
        self._in_flight = 0
        self._calls = 0
        self._average_s = 0.0
        self._last_good: tuple[str, Arrays] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the host stays out of it."""
        return self.breaker.is_open

    @property
    def average_s(self) -> float | None:
        """How long a call takes; None before there were enough of them."""
        return self._average_s if self._calls >= ENOUGH_CALLS else None

    def load(self) -> tuple[float, float]:
        """Jobs in flight per worker, then how soon it answers."""
        return self._in_flight / self.host.capacity(self.model), self._average_s

    async def run(self, catalogue: str, arrays: Arrays, timeout_s: float) -> StackedAnswer:
        began_s = time.monotonic()
        self._in_flight += 1
        try:
            answer = await self.host.run(self.model, catalogue, arrays, timeout_s)
        except StageFailed as error:
            self._note(error, time.monotonic() - began_s)
            raise
        finally:
            self._in_flight -= 1
        self._last_good = catalogue, {name: array[:1] for name, array in arrays.items()}
        self._took(time.monotonic() - began_s)
        if self.average_s is not None and self._is_slow(self.average_s):
            self.breaker.failed(certain=True)
        else:
            self.breaker.succeeded()
        return answer

    async def _send_canary(self) -> None:
        """A job that went well here once, and that must come back in good time; without one, a query's job is the canary."""
        self._calls, self._average_s = 0, 0.0
        if self._last_good is None:
            return
        began_s = time.monotonic()
        try:
            await self.host.run(self.model, *self._last_good, CANARY_S)
        except StageFailed as error:
            if error.reason in AGAINST_THE_MODEL:
                raise
        took_s = time.monotonic() - began_s
        if self._is_slow(took_s):
            raise StageFailed(TIMEOUT, f"it took {took_s * 1e3:.0f} ms, far longer than at another host")

    def _is_slow(self, seconds: float) -> bool:
        quickest_s = self._quickest_other_s(self)
        return quickest_s is not None and seconds > max(SLOW_TIMES * quickest_s, quickest_s + SLOW_BY_S)

    def _note(self, error: StageFailed, took_s: float) -> None:
        if error.reason == TIMEOUT:
            if took_s < FAIR_CHANCE_S:
                return
            self._took(took_s)
        if error.reason in AGAINST_THE_MODEL:
            self.breaker.failed(certain=error.reason == UNAVAILABLE)

    def _took(self, seconds: float) -> None:
        self._calls += 1
        self._average_s = seconds if self._calls == 1 else (1 - NEWEST) * self._average_s + NEWEST * seconds
