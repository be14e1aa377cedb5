"""One stack under load: a plan of phases, run in rounds, and what came of them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.answers import describe, top_items
from bench.load import Outcome, Target, closed_loop, open_loop

if TYPE_CHECKING:
    from collections.abc import Sequence

METHOD = "/banquet.v1.RecommendationService/Recommend"
# A call that asks for nothing: what gRPC costs on both sides and between them.
BARE_METHOD = "/grpc.health.v1.Health/Check"
BARE_S = 1.0
WARM_UP_CONCURRENCY = 4
OPEN_LOOP_SHARE = 0.5
COMPARED = 50


@dataclass(frozen=True, slots=True)
class Plan:
    """What each stack goes through in each round; `concurrency` starts with 1, which gives the latency."""

    requests: Sequence[bytes]
    concurrency: tuple[int, ...]
    seconds: float
    warm_up_s: float
    connections: int


class Measured:
    """What one stack did over all rounds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.closed: dict[int, Outcome] = defaultdict(Outcome)
        self.opened = Outcome()
        self.bare = Outcome()
        self.rate_per_s = 0.0
        self.tops: list[list[str]] = []

    @property
    def rps(self) -> float:
        """The best of the closed loops."""
        return max(outcome.rps for outcome in self.closed.values())

    def round(self, address: str, plan: Plan) -> None:
        """Raises `ValueError` when nothing was answered."""
        asyncio.run(self._round(address, plan))

    async def _round(self, address: str, plan: Plan) -> None:
        async with Target(address, METHOD, plan.requests, connections=plan.connections) as many:
            await closed_loop(many, concurrency=WARM_UP_CONCURRENCY, seconds=plan.warm_up_s)
            async with Target(address, METHOD, plan.requests) as one:
                if not self.tops:
                    self.tops = await _tops(one)
                for concurrency in plan.concurrency:
                    outcome = await closed_loop(one if concurrency == 1 else many, concurrency=concurrency, seconds=plan.seconds)
                    self._add(self.closed[concurrency], outcome)
            async with Target(address, BARE_METHOD, [b""]) as bare:
                self.bare.samples += (await closed_loop(bare, concurrency=1, seconds=BARE_S)).samples
            self.rate_per_s = self.rate_per_s or OPEN_LOOP_SHARE * self.rps
            self._add(self.opened, await open_loop(many, rate_per_s=self.rate_per_s, seconds=plan.seconds))

    def _add(self, total: Outcome, outcome: Outcome) -> None:
        if not outcome.samples:
            raise ValueError(f"{self.name} answered nothing; failures: {dict(outcome.failures)}")
        total.samples += outcome.samples
        total.failures += outcome.failures
        total.elapsed_s += outcome.elapsed_s

    def summary(self) -> dict[str, Any]:
        """Latency at concurrency 1, the best closed-loop throughput, every phase, and what the answers say of themselves."""
        alone = self.closed[1]
        opened = {"rate_per_s": self.rate_per_s, "late_p50_ms": self.opened.late_ms(50), **_percentiles(self.opened)}
        failures = sum((outcome.failures for outcome in self.closed.values()), start=self.opened.failures)
        return {
            "p50_ms": alone.percentile_ms(50),
            "p99_ms": alone.percentile_ms(99),
            "rps": self.rps,
            "bare_call_p50_ms": self.bare.percentile_ms(50) if self.bare.samples else None,
            "closed_loop": {
                str(concurrency): {"rps": outcome.rps, **_percentiles(outcome)} for concurrency, outcome in self.closed.items()
            },
            "open_loop": opened,
            "failures": dict(failures),
            **describe(alone.samples),
            "degradations_under_load": describe(self.closed[max(self.closed)].samples)["degradations"],
        }


async def _tops(target: Target) -> list[list[str]]:
    """The answers to the first few requests, one after the other."""
    outcome = await closed_loop(target, concurrency=1, seconds=60.0, max_calls=COMPARED)
    return top_items([sample.answer for sample in outcome.samples])


def _percentiles(outcome: Outcome) -> dict[str, float | int]:
    """Latencies of answered calls, in ms."""
    named = {f"p{percent:g}_ms": outcome.percentile_ms(percent) for percent in (50, 90, 99, 99.9)}
    return {"answered": len(outcome.samples), **named}
