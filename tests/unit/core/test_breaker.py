"""When a breaker opens, and what it takes to close."""

import asyncio
import time
from contextlib import asynccontextmanager

from banquet.core.breaker import FIRST_PAUSE_S, Breaker
from banquet.core.errors import StageFailed


class Canary:
    """Comes back unless `dead`; counts how often it was sent."""

    def __init__(self):
        self.dead = False
        self.sent = 0

    async def __call__(self):
        self.sent += 1
        if self.dead:
            raise StageFailed("unavailable")


@asynccontextmanager
async def a_breaker(canary):
    breaker = Breaker("it", canary)
    yield breaker
    await breaker.close()


async def until(condition):
    give_up_s = time.monotonic() + 3.0
    while not condition():
        assert time.monotonic() < give_up_s
        await asyncio.sleep(0.005)


async def test_one_certain_or_three_doubtful_failures_in_a_row_open_it():
    """A success in between starts the count anew."""
    async with a_breaker(Canary()) as breaker:
        for _ in range(4):
            breaker.failed(certain=False)
            breaker.failed(certain=False)
            breaker.succeeded()
        assert not breaker.is_open
        breaker.failed(certain=True)
        assert breaker.is_open
    async with a_breaker(Canary()) as breaker:
        for _ in range(3):
            assert not breaker.is_open
            breaker.failed(certain=False)
        assert breaker.is_open


async def test_it_stays_open_until_the_canary_comes_back():
    """However often that has to be sent."""
    canary = Canary()
    canary.dead = True
    async with a_breaker(canary) as breaker:
        breaker.failed(certain=True)
        await until(lambda: canary.sent >= 3)
        assert breaker.is_open
        canary.dead = False
        await until(lambda: not breaker.is_open)
        assert breaker.is_half_open


async def test_half_open_one_doubtful_failure_opens_it_again_and_it_rests_longer():
    """Whatever does for the canary and fails under queries costs one query each time, more and more seldom."""
    canary = Canary()
    async with a_breaker(canary) as breaker:
        breaker.failed(certain=True)
        await until(lambda: breaker.is_half_open)
        breaker.failed(certain=False)
        assert breaker.is_open
        await asyncio.sleep(1.5 * FIRST_PAUSE_S)
        assert breaker.is_open
        assert canary.sent == 1
        await until(lambda: breaker.is_half_open)


async def test_half_open_a_success_closes_it_for_good():
    """From then on it takes as much to open it as ever."""
    async with a_breaker(Canary()) as breaker:
        breaker.failed(certain=True)
        await until(lambda: breaker.is_half_open)
        breaker.succeeded()
        assert not breaker.is_half_open
        breaker.failed(certain=False)
        assert not breaker.is_open
