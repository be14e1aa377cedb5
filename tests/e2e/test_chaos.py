"""Every request is answered, whatever happens to the models: a short form of `python -m bench faults`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest

from bench.answers import requests_for
from bench.load import Target, fire
from bench.measure import METHOD
from bench.timeline import Timeline, describe
from bench.victims import FAULTS, Disturb, Family, Fault
from tests.e2e.test_faults import until_whole
from tests.e2e.test_serving import known_users

if TYPE_CHECKING:
    from banquet_client import BanquetClient

    from tests.e2e.conftest import Served

RATE_PER_S = 100.0
# Those that `test_faults` does not make already.
MADE_HERE = ("answers_slow", "answers_garbage", "queue_full", "cascade_worker_hung")
SHORT_S = 1.0


async def strike(served: Served, fault: Fault, patience_s: float = 40.0) -> Timeline:
    """Calls at 100 a second from before the fault until what it hit is replaced, and for a second on."""
    family = Family(psutil.Process(served.process.pid), served.between)
    timeline, requests = Timeline(), requests_for(known_users(served)[:20], placement="home", limit=5)
    # Long for a busy machine: what is late here is the caller's part.
    async with Target(served.address, METHOD, requests, connections=4, timeout_s=5.0) as target:
        load = asyncio.create_task(fire(target, timeline, rate_per_s=RATE_PER_S, seconds=60))
        await asyncio.sleep(SHORT_S)
        victims = fault.victims(family)
        fault.begin(family, victims)
        try:
            await asyncio.sleep(SHORT_S)
        finally:
            fault.end(family, victims)
        async with asyncio.timeout(patience_s):
            while not await asyncio.to_thread(fault.replaced, family, victims):  # noqa: ASYNC110 - it is a process's doing
                await asyncio.sleep(0.2)
        await asyncio.sleep(SHORT_S)
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
    return timeline


@pytest.mark.parametrize("name", MADE_HERE)
def test_at_100_requests_a_second_none_fails_and_the_models_come_back(served: Served, client: BanquetClient, name: str) -> None:
    """Answers that are late or nonsense, a queue that is full, a worker that hangs: degraded answers, and then whole ones."""
    fault = next(fault for fault in FAULTS if fault.name == name)
    if isinstance(fault, Disturb):
        fault = replace(fault, lasts_s=SHORT_S)
    told = describe(asyncio.run(strike(served, fault)).calls)
    assert told["failed"] == 0, told["failures"]
    assert any(one.startswith("cascade: ") for one in told["degradations"]), told
    until_whole(client, known_users(served)[0], 40)
