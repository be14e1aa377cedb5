"""Every `ModelClient`: the fake that other tests use, and TorchServe over both transports with a real release."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from banquet.core.stages import ModelClient, ModelJob
from banquet.inference.batcher import Batcher
from banquet.inference.client import TorchServeClient
from banquet.inference.configuration import TorchServeSettings
from banquet.inference.supervisor import TorchServe
from banquet.releases.archive import MODELS, build
from tests.contract.model_client.jobs import job, until_ready
from tests.fakes import FakeModels
from tests.release_factory import make_catalogue, make_release

if TYPE_CHECKING:
    from pathlib import Path

ITEMS = 60


@dataclass(frozen=True)
class Served:
    """A TorchServe with a release, and a catalogue that its workers know."""

    torchserve: TorchServe
    catalogue: str


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def served(tmp_path_factory) -> AsyncIterator[Served]:
    root: Path = tmp_path_factory.mktemp("served")
    release = make_release(root / "releases", items=ITEMS)
    archives = {built.model: built.path.name for built in build(release, root / "store")}
    catalogue = make_catalogue(root / "catalogue", items=ITEMS)
    server = TorchServe(
        TorchServeSettings(
            run_folder=root / "run",
            model_store=root / "store",
            archives=archives,
            worker_environment={"BANQUET_CATALOGUE_DIR": str(root / "catalogue"), "BANQUET_BACKEND": "onnxruntime"},
            heap_mb=128,
        )
    )
    await server.start()
    for model in MODELS:
        await until_ready(TorchServeClient(server.address), job(model, catalogue))
    yield Served(server, catalogue)
    await server.stop(drain_s=0)


@pytest.fixture(params=["unix", "grpc"])
async def torchserve(request, served) -> AsyncIterator[ModelClient]:
    """A client of the real thing."""
    address = served.torchserve.address if request.param == "unix" else served.torchserve.grpc_address
    client = TorchServeClient(address)
    models = Batcher(client)
    yield models
    await models.close()
    await client.close()


@pytest.fixture(params=["fake", "unix", "grpc"])
async def models(request) -> AsyncIterator[ModelClient]:
    """Any client."""
    if request.param == "fake":
        yield FakeModels()
        return
    served = request.getfixturevalue("served")
    client = TorchServeClient(served.torchserve.address if request.param == "unix" else served.torchserve.grpc_address)
    models = Batcher(client)
    yield models
    await models.close()
    await client.close()


@pytest.fixture
def make_job(served):
    """A job for a model against the catalogue in force; other arrays by keyword."""

    def make(model: str, **arrays) -> ModelJob:
        return job(model, served.catalogue, **arrays)

    return make
