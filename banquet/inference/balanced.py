"""Several hosts as one: each job goes to the least loaded of those that work."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from banquet.core.errors import StageFailed
from banquet.inference.failures import UNAVAILABLE, NotDone
from banquet.inference.seat import Seat

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

    from banquet.inference.host import ModelHost, StackedAnswer

# With less time than this left, another host is not tried: no model answers so soon.
WORTH_TRYING_S = 0.005


class Balanced:
    """A `ModelHost` over several. Use it within one event loop.

    Least loaded is who has the fewest jobs in flight per worker, then who answers soonest. For a model that it fails or is slow
    with, a host leaves the pool until a canary comes back as soon as from the others. The last one is never out for being slow.

    A job that was not done (`NotDone`) is tried on one other host while there is time. One that timed out is not: it may still be
    running, and twice the work is what a slow pool needs least. Nor is one whose worker died: it may be what killed it.
    """

    def __init__(self, hosts: Mapping[str, ModelHost]) -> None:
        """By name, for the log."""
        self._hosts = hosts
        self._pools: dict[str, list[Seat]] = {}

    async def run(self, model: str, catalogue: str, arrays: Mapping[str, NDArray[Any]], timeout_s: float) -> StackedAnswer:
        began_s = time.monotonic()
        first = self._least_loaded(model)
        if first is None:
            raise StageFailed(UNAVAILABLE, f"no host answers for {model}; canaries are out to {', '.join(self._hosts)}")
        try:
            return await first.run(catalogue, arrays, timeout_s)
        except NotDone:
            left_s = timeout_s - (time.monotonic() - began_s)
            other = self._least_loaded(model, but=first)
            if other is None or left_s < WORTH_TRYING_S:
                raise
        return await other.run(catalogue, arrays, left_s)

    def capacity(self, model: str) -> int:
        return max(1, sum(seat.host.capacity(model) for seat in self._working(model)))

    async def check(self, model: str, timeout_s: float) -> None:
        """One host that can serve will do; with none, the first one's reason stands for all."""
        checks = (host.check(model, timeout_s) for host in self._hosts.values())
        failures = [failure for failure in await asyncio.gather(*checks, return_exceptions=True) if failure is not None]
        if len(failures) == len(self._hosts):
            raise failures[0]

    async def close(self) -> None:
        for seat in [seat for pool in self._pools.values() for seat in pool]:
            await seat.breaker.close()
        for host in self._hosts.values():
            await host.close()

    def _working(self, model: str, but: Seat | None = None) -> list[Seat]:
        pool = self._pools.get(model)
        if pool is None:
            pool = [Seat(name, model, host, self._quickest_other_s) for name, host in self._hosts.items()]
            self._pools[model] = pool
        return [seat for seat in pool if seat is not but and not seat.is_open]

    def _least_loaded(self, model: str, but: Seat | None = None) -> Seat | None:
        return min(self._working(model, but), key=Seat.load, default=None)

    def _quickest_other_s(self, seat: Seat) -> float | None:
        known_s = [other.average_s for other in self._working(seat.model, but=seat) if other.average_s is not None]
        return min(known_s, default=None)
