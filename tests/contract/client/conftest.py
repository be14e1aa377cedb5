"""Both clients behind one face: every test awaits, whichever client does the work."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from banquet_client import AsyncBanquetClient, Backoff, BanquetClient

from tests.contract.client.gateway import FakeGateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

QUICK = Backoff(initial_s=0.01, longest_s=0.05)


class Blocking:
    """The sync client, awaited from a thread."""

    def __init__(self, *args, **options) -> None:
        self._client = BanquetClient(*args, **options)

    def __getattr__(self, name):
        async def call(*args, **options):
            return await asyncio.to_thread(getattr(self._client, name), *args, **options)

        return call

    async def receipts(self, events, **options):
        return await asyncio.to_thread(lambda: list(self._client.stream_record(events, **options)))

    async def __aenter__(self):
        self._client.__enter__()
        return self

    async def __aexit__(self, *error) -> None:
        self._client.__exit__(*error)


class Awaiting(AsyncBanquetClient):
    async def receipts(self, events, **options):
        return [receipt async for receipt in self.stream_record(events, **options)]


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway() as server:
        yield server


@pytest.fixture(params=[Blocking, Awaiting], ids=["sync", "async"])
def make_client(request):
    """The constructor of the client under test."""
    return request.param


@pytest.fixture
async def client(gateway, make_client) -> AsyncIterator[Blocking | Awaiting]:
    async with make_client(gateway.address, timeout_s=5, backoff=QUICK) as made:
        yield made
