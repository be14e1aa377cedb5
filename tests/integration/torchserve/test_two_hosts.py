"""Two TorchServes as one: what happens to either is no query's business."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest_asyncio

from banquet.core.errors import StageFailed
from banquet.inference.balanced import Balanced
from banquet.inference.batcher import Batcher
from banquet.inference.client import TorchServeClient
from banquet.inference.supervisor import TorchServe
from tests.integration.torchserve.probe import job, until_ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def second(settings, tmp_path_factory) -> AsyncIterator[TorchServe]:
    server = TorchServe(replace(settings, run_folder=tmp_path_factory.mktemp("ts") / "second"))
    await server.start()
    yield server
    await server.stop(drain_s=0)


@asynccontextmanager
async def served(*servers: TorchServe) -> AsyncIterator[tuple[Balanced, Batcher]]:
    clients = {f"host {number}": TorchServeClient(server.address) for number, server in enumerate(servers)}
    for client in clients.values():
        await until_ready(client)
    host = Balanced(clients)
    models = Batcher(host)
    for _ in clients:
        # The one that has not answered yet is asked first: both have a canary afterwards.
        await models.predict(job(), 5.0)
    yield host, models
    await models.close()
    await host.close()


async def reasons(models: Batcher, times: int, query_s: float = 0.5) -> list[str]:
    """Why queries failed, at about 50 a second."""
    failed = []
    for _ in range(times):
        try:
            await models.predict(job(), query_s)
        except StageFailed as error:
            failed.append(error.reason)
        await asyncio.sleep(0.02)
    return failed


async def test_one_killed_torchserve_costs_no_query_its_answer(torchserve, second):
    """The other one has them all; the dead one comes back into the pool by itself."""
    async with served(torchserve, second) as (host, models):
        psutil.Process(second.pid).kill()
        # Long, since a TorchServe that starts beside it takes the machine.
        assert await reasons(models, times=25, query_s=3.0) == []
        for _ in range(1500):
            await reasons(models, times=1)
            if second.restarts and host.capacity("probe") == 2:
                break
        else:
            raise AssertionError("it did not come back")


async def test_one_stopped_torchserve_costs_a_few_queries_and_then_none(torchserve, second):
    """Those it was working on time out, since they may still be done; it is out of the pool before long."""
    async with served(torchserve, second) as (_, models):
        stopped = psutil.Process(second.pid)
        stopped.suspend()
        try:
            first = await reasons(models, times=30)
            assert set(first) <= {"timeout"}
            assert len(first) <= 4
            assert await reasons(models, times=10) == []
        finally:
            stopped.resume()
