"""`python -m bench faults`: what callers get while parts of Banquet are killed or stopped, one after the other, under load."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
import psutil
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bench import faults_report, report, stacks, workspace
from bench.load import Target, fire
from bench.measure import METHOD
from bench.timeline import Timeline, recovery_s
from bench.victims import FAULTS, Family, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from banquet.app.settings import Settings

# Until then everything must be over but the end of `banquet up`; with that a run stays within 4 minutes.
LIMIT_S = 200.0
WARM_UP_S = 5.0
BEFORE_S = 5.0
WATCHED_S = 5.0
READY_S = 20.0
PATIENCE_S = 25.0
LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that was made: at what time, until when callers were watched, and how long what it killed was away."""

    fault: Fault
    at_s: float
    until_s: float
    away_s: float | None


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
        at_s = time.perf_counter()
        try:
            fault.strike(victims)
            await asyncio.sleep(fault.stopped_s)
        finally:
            if fault.stopped_s:
                _resume(victims)
        away_s: float | None = None
        while (after_s := time.perf_counter() - at_s) < PATIENCE_S:
            if away_s is None and await asyncio.to_thread(fault.replaced, self.family, victims):
                away_s = after_s
            recovered = recovery_s(self.timeline.between(at_s, at_s + after_s), at_s) is not None
            if recovered and away_s is not None and after_s >= WATCHED_S:
                break
            await asyncio.sleep(LOOK_S)
        return Strike(fault, at_s, time.perf_counter(), away_s)

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    workspace.add_arguments(parser)
    parser.add_argument("--rps", type=_positive, default=50.0, help="calls per second, on average")
    parser.add_argument("--timeout-ms", type=_positive, default=200.0, help="deadline of each call")


def run(arguments: argparse.Namespace) -> None:
    """Once data and release are there, it takes 4 minutes at most."""
    settings = workspace.prepare(arguments)
    until_s = time.perf_counter() + LIMIT_S
    requests = workspace.draw_requests(settings, arguments.users, arguments.limit)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("starting")
        with _served(settings, arguments.settings) as (address, family):
            one = Run(address, family, until_s, lambda what: progress.update(task, description=what))
            asyncio.run(_under_load(one, requests, arguments))
            progress.update(task, description="ending")
    workload = {
        **workspace.facts(settings),
        **{name: getattr(arguments, name) for name in ("limit", "rps", "timeout_ms", "connections")},
        "users_asked_for": len(requests),
    }
    body = faults_report.result(workload, one.timeline, one.strikes, len(family.outlived))
    report.write(body, arguments.json)
    faults_report.show(body)


@contextmanager
def _served(settings: Settings, settings_file: Path | None) -> Iterator[tuple[str, Family]]:
    """A `banquet up`, its address and its processes; none of them is there afterwards."""
    family: Family | None = None
    try:
        with stacks.banquet_up(settings, settings_file) as served:
            family = Family(psutil.Process(served.pid))
            try:
                yield served.address, family
            finally:
                family.look()
    finally:
        if family is not None:
            family.end()


async def _under_load(one: Run, requests: Sequence[bytes], arguments: argparse.Namespace) -> None:
    timeout_s = arguments.timeout_ms / 1e3
    async with Target(one.address, METHOD, requests, connections=arguments.connections, timeout_s=timeout_s) as target:
        await one.go(target, arguments.rps)


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: must be above 0")
    return number


def _resume(victims: Sequence[psutil.Process]) -> None:
    for one in victims:
        with suppress(psutil.NoSuchProcess):
            one.resume()
