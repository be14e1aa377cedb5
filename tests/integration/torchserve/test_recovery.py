"""What dies comes back, and nobody waits for it meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from banquet.core.errors import StageFailed
from banquet.inference.batcher import Batcher
from banquet.inference.client import TorchServeClient
from tests.integration.torchserve.probe import job, until_ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from banquet.inference.supervisor import TorchServe

QUERY_S = 0.3


@asynccontextmanager
async def served(torchserve: TorchServe) -> AsyncIterator[list[Batcher]]:
    """Models over the unix socket and over gRPC, both warm."""
    clients = [TorchServeClient(torchserve.address), TorchServeClient(torchserve.grpc_address)]
    models = [Batcher(client) for client in clients]
    for client, batcher in zip(clients, models, strict=True):
        await until_ready(client)
        await batcher.predict(job(), 5.0)
    yield models
    for part in (*models, *clients):
        await part.close()


async def ask(models: Batcher, times: int, *, until_back: bool = False) -> list[float]:
    """How long each query took that failed, one after the other at about 50 a second."""
    failed_s = []
    for _ in range(times):
        asked_s = time.perf_counter()
        try:
            await models.predict(job(), QUERY_S)
        except StageFailed:
            failed_s.append(time.perf_counter() - asked_s)
        else:
            if until_back:
                break
        await asyncio.sleep(0.02)
    return failed_s


async def ask_until_back(models: Batcher) -> list[float]:
    failed_s = await ask(models, times=2000, until_back=True)
    assert len(failed_s) < 2000
    return failed_s


def assert_mostly_instant(failed_s: list[float]) -> None:
    """Few queries pay with their time; all others are refused at once."""
    assert sum(took_s > QUERY_S / 2 for took_s in failed_s) <= 6, sorted(failed_s)[-10:]


def workers_of(torchserve) -> list[psutil.Process]:
    return psutil.Process(torchserve.pid).children()


async def test_a_killed_worker_comes_back_and_nothing_else_is_restarted(torchserve):
    """Queries fail fast with `unavailable` until TorchServe has a new worker."""
    async with served(torchserve) as models:
        pid, restarts = torchserve.pid, torchserve.restarts
        [worker] = workers_of(torchserve)
        worker.kill()
        for failed_s in await asyncio.gather(*map(ask_until_back, models)):
            assert_mostly_instant(failed_s)
        assert (torchserve.pid, torchserve.restarts) == (pid, restarts)


async def test_a_killed_torchserve_comes_back_at_the_same_addresses(torchserve):
    """The supervisor restarts it; clients that were connected read the new keys and go on."""
    async with served(torchserve) as models:
        orphans = workers_of(torchserve)
        os.kill(torchserve.pid, signal.SIGKILL)
        for failed_s in await asyncio.gather(*map(ask_until_back, models)):
            assert_mostly_instant(failed_s)
        assert not any(orphan.is_running() for orphan in orphans)


async def test_a_stopped_torchserve_costs_a_few_timeouts_and_then_nothing(torchserve):
    """SIGSTOP: the breaker opens, refuses at once, and closes when TorchServe goes on."""
    async with served(torchserve) as models:
        stopped = psutil.Process(torchserve.pid)
        stopped.suspend()
        try:
            for failed_s in await asyncio.gather(*(ask(batcher, times=30) for batcher in models)):
                assert len(failed_s) == 30
                assert_mostly_instant(failed_s)
        finally:
            stopped.resume()
        await asyncio.gather(*map(ask_until_back, models))


async def test_a_hung_worker_is_replaced(torchserve):
    """A worker that does not answer within its response timeout is killed by TorchServe."""
    client = TorchServeClient(torchserve.address)
    await until_ready(client)
    [worker] = workers_of(torchserve)
    stacked = {name: array[None] for name, array in job().arrays.items()}
    with pytest.raises(StageFailed) as caught:
        await client.run("probe", "slow 60000", stacked, 10.0)
    assert caught.value.reason == "unavailable"
    await until_ready(client)
    assert [process.pid for process in workers_of(torchserve)] != [worker.pid]
    await client.close()
