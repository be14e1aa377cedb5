"""Strikes at a running Banquet, one after the other, while calls keep coming."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
import psutil
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.load import Target, fire
from bench.timeline import Timeline, recovery_s
from bench.victims import FAULTS, Family, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_UP_S = 5.0
BEFORE_S = 5.0
WATCHED_S = 5.0
READY_S = 20.0
PATIENCE_S = 30.0
LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that was made: at what time, until when callers were watched, and how long what it killed was away.

    stolen_s: what others on the machine took of its cores meanwhile, all cores together; nobody here could run then.
    """

    fault: Fault
    at_s: float
    until_s: float
    away_s: float | None
    stolen_s: float = 0.0


@dataclass
class Run:
    """Strikes at one `banquet up` under load; `until_s` is the latest moment at which a strike may still be watched."""

    address: str
    family: Family
    until_s: float
    say: Callable[[str], None]
    timeline: Timeline = field(default_factory=Timeline)
    strikes: list[Strike] = field(default_factory=list)

    async def go(self, target: Target, rate_per_s: float) -> None:
        """Strikes while calls keep coming. Raises `NoVictim`."""
        left_s = max(self.until_s - time.perf_counter(), WARM_UP_S)
        load = asyncio.create_task(fire(target, self.timeline, rate_per_s=rate_per_s, seconds=left_s))
        try:
            self.say("warming up")
            await asyncio.sleep(WARM_UP_S)
            await self._strike_all()
        finally:
            load.cancel()
            with suppress(asyncio.CancelledError):
                await load

    async def _strike_all(self) -> None:
        """One after the other, as long as there is time and everything is ready again."""
        for number, fault in enumerate(FAULTS, 1):
            self.say(f"{number} of {len(FAULTS)}: waiting until all is well")
            if not await self._ready() or time.perf_counter() + BEFORE_S + PATIENCE_S > self.until_s:
                return
            await asyncio.sleep(BEFORE_S)
            self.say(f"{number} of {len(FAULTS)}: {fault.title}")
            self.strikes.append(await self._strike(fault))

    async def _strike(self, fault: Fault) -> Strike:
        victims = await asyncio.to_thread(fault.victims, self.family)
        at_s, stolen_s = time.perf_counter(), _stolen_s()
        try:
            fault.begin(self.family, victims)
            await asyncio.sleep(fault.lasts_s)
        finally:
            fault.end(self.family, victims)
        away_s: float | None = None
        while (after_s := time.perf_counter() - at_s) < PATIENCE_S:
            if away_s is None and await asyncio.to_thread(fault.replaced, self.family, victims):
                away_s = after_s
            recovered = recovery_s(self.timeline.between(at_s, at_s + after_s), at_s) is not None
            if recovered and away_s is not None and after_s >= fault.lasts_s + WATCHED_S:
                break
            await asyncio.sleep(LOOK_S)
        return Strike(fault, at_s, time.perf_counter(), away_s, _stolen_s() - stolen_s)

    async def _ready(self) -> bool:
        """Whether the gateway says that every part of it works, soon."""
        give_up_s = min(time.perf_counter() + READY_S, self.until_s)
        async with aio.insecure_channel(self.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            while time.perf_counter() < give_up_s:
                with suppress(grpc.RpcError):
                    answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=1.0)
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        return True
                await asyncio.sleep(LOOK_S)
        return False


def _stolen_s() -> float:
    """Linux counts it, in steps of 10 ms."""
    return float(getattr(psutil.cpu_times(), "steal", 0.0))
