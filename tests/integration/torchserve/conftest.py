"""One real TorchServe with the probe for the whole folder; every test leaves it working."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from banquet.inference.batcher import Batcher
from banquet.inference.client import TorchServeClient
from banquet.inference.configuration import TorchServeSettings
from banquet.inference.supervisor import TorchServe
from banquet.inference.transport import MAX_JOB_BYTES
from tests.integration.torchserve.probe import ARCHIVE, until_ready, write_archive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# Small, so that a test can overfill them.
QUEUE = 4
MESSAGE_BYTES = MAX_JOB_BYTES


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All on one event loop, where the supervisor lives that must restart what tests kill."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def settings(tmp_path_factory) -> TorchServeSettings:
    store = tmp_path_factory.mktemp("store")
    write_archive(store)
    return TorchServeSettings(
        run_folder=tmp_path_factory.mktemp("ts") / "run",
        model_store=store,
        archives={"probe": ARCHIVE},
        heap_mb=128,
        queue_size=QUEUE,
        max_message_bytes=MESSAGE_BYTES,
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def torchserve(settings) -> AsyncIterator[TorchServe]:
    server = TorchServe(settings)
    await server.start()
    yield server
    await server.stop(drain_s=0)


@pytest_asyncio.fixture(loop_scope="session", params=["unix", "grpc"])
async def client(request, torchserve) -> AsyncIterator[TorchServeClient]:
    client = TorchServeClient(torchserve.address if request.param == "unix" else torchserve.grpc_address)
    await until_ready(client)
    yield client
    await client.close()


@pytest_asyncio.fixture(loop_scope="session")
async def models(client) -> AsyncIterator[Batcher]:
    batcher = Batcher(client)
    yield batcher
    await batcher.close()
