"""Every `ModelClient`: the fake that other tests use, and one on every `ModelHost`, with a real release."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from banquet.core.stages import ModelClient, ModelJob
from banquet.inference.balanced import Balanced
from banquet.inference.batcher import Batcher
from banquet.inference.client import TorchServeClient
from banquet.inference.configuration import TorchServeSettings
from banquet.inference.host import ModelHost
from banquet.inference.inprocess import InProcess
from banquet.inference.supervisor import TorchServe
from banquet.releases.archive import MODELS, build
from tests.contract.model_client.jobs import job, until_ready
from tests.fakes import FakeModels
from tests.release_factory import make_catalogue, make_release

ITEMS = 60
REAL = ["unix", "grpc", "balanced", "inprocess"]


@dataclass(frozen=True)
class Served:
    """A TorchServe with a release, and a catalogue that its workers know, with the folders of both."""

    torchserve: TorchServe
    catalogue: str
    release: Path
    catalogues: Path


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
    yield Served(server, catalogue, release, root / "catalogue")
    await server.stop(drain_s=0)


@pytest.fixture(scope="session")
def in_process(served) -> Iterator[InProcess]:
    """The same release and catalogue without TorchServe; loaded once."""
    host = InProcess(served.release, served.catalogues, backend="onnxruntime")
    host._served.result()
    yield host
    host._served.result().catalogues.stop()


@asynccontextmanager
async def opened(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[ModelHost]:
    """TorchServe over either transport, two hosts as one, or this process."""
    if kind == "inprocess":
        yield request.getfixturevalue("in_process")
        return
    at = request.getfixturevalue("served").torchserve
    two = {"unix": TorchServeClient(at.address), "grpc": TorchServeClient(at.grpc_address)}
    host = Balanced(two) if kind == "balanced" else two[kind]
    yield host
    for one in (host, *two.values()):
        await one.close()


@pytest.fixture(params=REAL)
async def host(request) -> AsyncIterator[ModelHost]:
    """Whatever runs models."""
    async with opened(request.param, request) as host:
        yield host


@pytest.fixture
async def real(host) -> AsyncIterator[ModelClient]:
    """A client of any host."""
    models = Batcher(host)
    yield models
    await models.close()


@pytest.fixture(params=["fake", *REAL])
async def models(request) -> AsyncIterator[ModelClient]:
    """Any client."""
    if request.param == "fake":
        yield FakeModels()
        return
    async with opened(request.param, request) as host:
        models = Batcher(host)
        yield models
        await models.close()


@pytest.fixture
def make_job(served):
    """A job for a model against the catalogue in force; other arrays by keyword."""

    def make(model: str, **arrays) -> ModelJob:
        return job(model, served.catalogue, **arrays)

    return make
