"""Load on a gRPC server of this machine: open-loop (calls leave when they are due) and closed-loop (callers wait for answers)."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

import grpc
from grpc import aio

from banquet.core.loopback import DIRECT, channel_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

MAX_CALLS = 1_000_000
MAX_SECONDS = 600.0
KEPT_ANSWERS = 5_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One answered call: how long it took since it was due, how late it left, and the answer (empty once enough were kept)."""

    latency_s: float
    late_s: float
    answer: bytes


class Record(Protocol):
    """What is told of every call when it ends; `due_s` is of `time.perf_counter`."""

    def answered(self, due_s: float, late_s: float, answer: bytes) -> None: ...

    def failed(self, due_s: float, code: str) -> None: ...


@dataclass
class Outcome:
    """What a load did: answered calls, failed ones by status code, and how long all of it took."""

    samples: list[Sample] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    elapsed_s: float = 0.0

    def answered(self, due_s: float, late_s: float, answer: bytes) -> None:
        kept = answer if len(self.samples) < KEPT_ANSWERS else b""
        self.samples.append(Sample(time.perf_counter() - due_s, late_s, kept))

    def failed(self, due_s: float, code: str) -> None:  # noqa: ARG002 - as in Record
        self.failures[code] += 1

    @property
    def rps(self) -> float:
        return len(self.samples) / self.elapsed_s if self.elapsed_s else 0.0

    def percentile_ms(self, percent: float) -> float:
        """Of the latencies of answered calls."""
        return percentile((sample.latency_s for sample in self.samples), percent) * 1000

    def late_ms(self, percent: float) -> float:
        """How late calls left: the generator's own part of the latencies."""
        return percentile((sample.late_s for sample in self.samples), percent) * 1000


class Target:
    """One unary method of a server on this machine, called with ready-made requests in turn.

    Several connections, so that processes sharing the port by SO_REUSEPORT all get their part.
    """

    def __init__(
        self, address: str, method: str, requests: Sequence[bytes], *, connections: int = 1, timeout_s: float = 30.0
    ) -> None:
        if not channel_options(address):
            raise ValueError(f"address {address!r}: load goes to this machine only, such as 127.0.0.1:7600")
        if not requests:
            raise ValueError("no requests to send")
        self._address, self._method, self._requests = address, method, requests
        self._connections, self._timeout_s = connections, timeout_s
        self._stack = AsyncExitStack()
        self._calls: list[aio.UnaryUnaryMultiCallable[bytes, bytes]] = []

    async def __aenter__(self) -> Self:
        # A pool of its own per channel: otherwise gRPC would put them all on one connection.
        options = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 32 * 2**20), *DIRECT)
        for _ in range(self._connections):
            channel = await self._stack.enter_async_context(aio.insecure_channel(self._address, options))
            self._calls.append(channel.unary_unary(self._method))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    async def call(self, number: int, due_s: float, record: Record) -> None:
        """Sends request `number`, and counts its latency from when it was due."""
        send = self._calls[number % len(self._calls)]
        late_s = time.perf_counter() - due_s
        try:
            answer = await send(self._requests[number % len(self._requests)], timeout=self._timeout_s)
        except grpc.RpcError as error:
            record.failed(due_s, error.code().name)
        else:
            record.answered(due_s, late_s, answer)


async def closed_loop(target: Target, *, concurrency: int, seconds: float, max_calls: int = MAX_CALLS) -> Outcome:
    """`concurrency` callers, each sending its next call when it has its answer, until `seconds` or `max_calls` are over."""
    _check(seconds, max_calls)
    outcome, numbers = Outcome(), iter(range(max_calls))
    started_s = time.perf_counter()

    async def caller() -> None:
        for number in numbers:
            due_s = time.perf_counter()
            if due_s - started_s >= seconds:
                return
            await target.call(number, due_s, outcome)

    async with asyncio.TaskGroup() as callers:
        for _ in range(concurrency):
            callers.create_task(caller())
    outcome.elapsed_s = time.perf_counter() - started_s
    return outcome


async def open_loop(target: Target, *, rate_per_s: float, seconds: float, max_calls: int = MAX_CALLS, seed: int = 0) -> Outcome:
    """What came of calls that left at random moments."""
    outcome = Outcome()
    started_s = time.perf_counter()
    await fire(target, outcome, rate_per_s=rate_per_s, seconds=seconds, max_calls=max_calls, seed=seed)
    outcome.elapsed_s = time.perf_counter() - started_s
    return outcome


async def fire(
    target: Target, record: Record, *, rate_per_s: float, seconds: float, max_calls: int = MAX_CALLS, seed: int = 0
) -> None:
    """Calls leave at random moments, `rate_per_s` on average, whether or not earlier ones were answered.

    Latency counts from when a call was due, not from when it left: what a slow generator or server holds up is counted in.
    """
    _check(seconds, max_calls)
    started_s = time.perf_counter()
    async with asyncio.TaskGroup() as under_way:
        for number, after_s in enumerate(_moments(rate_per_s, seconds, max_calls, seed)):
            due_s = started_s + after_s
            early_s = due_s - time.perf_counter()
            if early_s > 0:
                await asyncio.sleep(early_s)
            under_way.create_task(target.call(number, due_s, record))


def percentile(values: Iterable[float], percent: float) -> float:
    """The nearest-rank percentile; NaN of no values."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    rank = -int(-percent * len(ordered) // 100)
    return ordered[min(max(rank, 1), len(ordered)) - 1]


def _moments(rate_per_s: float, seconds: float, max_calls: int, seed: int) -> Iterator[float]:
    """Poisson arrivals: seconds from the start."""
    draw = random.Random(seed)
    after_s = 0.0
    for _ in range(max_calls):
        after_s += draw.expovariate(rate_per_s)
        if after_s >= seconds:
            return
        yield after_s


def _check(seconds: float, max_calls: int) -> None:
    if not 0 < seconds <= MAX_SECONDS:
        raise ValueError(f"seconds {seconds}: must be above 0, at most {MAX_SECONDS}")
    if not 0 < max_calls <= MAX_CALLS:
        raise ValueError(f"max_calls {max_calls}: must be 1 to {MAX_CALLS}")
