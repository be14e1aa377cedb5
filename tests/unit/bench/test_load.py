"""The load generators, against a real server in this process."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc import aio

from bench.load import MAX_SECONDS, Target, closed_loop, open_loop, percentile

METHOD = "/test.Echo/Echo"


class Echo:
    """Answers with the request after `delay_s`; `busiest` is the most calls it had at once."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.fail = False
        self.asked: list[bytes] = []
        self.peers: set[str] = set()
        self._now = self.busiest = 0

    async def echo(self, request: bytes, context) -> bytes:
        self.asked.append(request)
        self.peers.add(context.peer())
        self._now += 1
        self.busiest = max(self.busiest, self._now)
        await asyncio.sleep(self.delay_s)
        self._now -= 1
        if self.fail:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
        return request


@asynccontextmanager
async def echoing(**options):
    echo = Echo()
    server = aio.server()
    method = grpc.unary_unary_rpc_method_handler(echo.echo)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Echo", {"Echo": method})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with Target(f"127.0.0.1:{port}", METHOD, [b"a", b"b"], **options) as target:
            yield echo, target
    finally:
        await server.stop(None)


async def test_closed_loop_callers_wait_for_their_answers():
    """Never are more calls under way than there are callers, and requests go out in turn."""
    async with echoing() as (echo, target):
        echo.delay_s = 0.002
        outcome = await closed_loop(target, concurrency=3, seconds=5, max_calls=20)
    assert len(outcome.samples) == len(echo.asked) == 20
    assert echo.busiest == 3
    assert (echo.asked.count(b"a"), echo.asked.count(b"b")) == (10, 10)
    assert outcome.rps > 0


async def test_closed_loop_ends_in_time():
    """Without a bound on calls, the time bounds it."""
    async with echoing() as (_, target):
        outcome = await closed_loop(target, concurrency=1, seconds=0.05)
    assert outcome.samples
    assert outcome.elapsed_s < 1


async def test_open_loop_does_not_wait_for_answers():
    """Calls leave when they are due, however many are unanswered."""
    async with echoing() as (echo, target):
        echo.delay_s = 0.3
        outcome = await open_loop(target, rate_per_s=200, seconds=1, max_calls=20)
    assert echo.busiest > 10
    assert len(outcome.samples) == 20


async def test_open_loop_latency_counts_from_when_a_call_was_due():
    """A generator that is held up counts the wait as latency, which a caller would have felt."""
    async with echoing() as (_, target):
        asyncio.get_running_loop().call_later(0.01, time.sleep, 0.2)
        outcome = await open_loop(target, rate_per_s=1000, seconds=1, max_calls=50)
    assert outcome.percentile_ms(100) >= 150
    assert outcome.late_ms(100) >= 150


async def test_failures_are_counted_by_status_and_have_no_latency():
    """A refused call is no answered one."""
    async with echoing() as (echo, target):
        echo.fail = True
        outcome = await closed_loop(target, concurrency=1, seconds=5, max_calls=3)
    assert outcome.failures == {"RESOURCE_EXHAUSTED": 3}
    assert not outcome.samples
    assert math.isnan(outcome.percentile_ms(50))


async def test_connections_are_separate():
    """Processes sharing a port each get some, because each connection is one of its own."""
    async with echoing(connections=3) as (echo, target):
        await closed_loop(target, concurrency=1, seconds=5, max_calls=6)
    assert len(echo.peers) == 3


@pytest.mark.parametrize("address", ["10.0.0.1:7600", "192.168.1.1:80", "[2001:db8::1]:7600"])
def test_load_stays_on_this_machine(address):
    """An address elsewhere is refused before anything is sent."""
    with pytest.raises(ValueError, match="this machine only"):
        Target(address, METHOD, [b""])


@pytest.mark.parametrize("bounds", [{"seconds": 0}, {"seconds": MAX_SECONDS + 1}, {"seconds": 1, "max_calls": 0}])
async def test_load_is_bounded(bounds):
    """There is no load without an end."""
    target = Target("127.0.0.1:1", METHOD, [b""])
    with pytest.raises(ValueError, match="must be"):
        await closed_loop(target, concurrency=1, **bounds)
    with pytest.raises(ValueError, match="must be"):
        await open_loop(target, rate_per_s=1, **bounds)


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (99, 99), (100, 100), (0, 1), (0.5, 1), (99.9, 100)])
def test_percentiles_are_nearest_rank(percent, expected):
    """Of 1 to 100, the p-th percentile is p."""
    assert percentile(range(100, 0, -1), percent) == expected
