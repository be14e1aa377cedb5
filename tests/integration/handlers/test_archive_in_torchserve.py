"""The three archives in a real TorchServe, asked as the gateway asks."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import pytest_asyncio

from banquet.core.errors import StageFailed
from banquet.inference.client import TorchServeClient
from banquet.inference.configuration import TorchServeSettings
from banquet.inference.supervisor import TorchServe
from banquet.releases import registry
from banquet.releases.archive import build
from tests.release_factory import make_catalogue, make_release

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS = np.array([[-1, 1, 2], [4, 5, 6]], np.int32)
USER = {"user_categories": np.array([[1], [0]], np.int32), "user_numbers": np.zeros((2, 2), np.float32)}
FIND = {"history": ROWS, "seen": ROWS, "limit": np.array([[5], [5]], np.int32)}
JOBS = {
    "retrieval": FIND,
    "ranking": {"history": ROWS, **USER, "rows": ROWS, "user_vector": np.zeros((2, 16), np.float32)},
    "cascade": {**FIND, **USER},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("torchserve")


@pytest.fixture(scope="module")
def catalogue(folder) -> str:
    return make_catalogue(folder / "catalogue")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def torchserve(folder, catalogue):
    built = build(make_release(folder / "releases"), folder / "store")
    server = TorchServe(
        TorchServeSettings(
            run_folder=folder / "run",
            model_store=folder / "store",
            archives={one.model: one.path.name for one in built},
            worker_environment={"BANQUET_CATALOGUE_DIR": str(folder / "catalogue")},
            heap_mb=128,
        )
    )
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ask(torchserve):
    """ask("ranking", catalogue) -> the answer, as soon as there is one."""
    client = TorchServeClient(torchserve.address)

    async def run(model: str, catalogue: str, patience_s: float = 60.0):
        began_s = time.monotonic()
        while True:
            try:
                return await client.run(model, catalogue, JOBS[model], 1.0)
            except StageFailed as failed:
                if failed.reason not in {"unavailable", "timeout"} or time.monotonic() - began_s > patience_s:
                    raise
                await asyncio.sleep(0.05)

    yield run
    await client.close()


@pytest.mark.parametrize("model", JOBS)
async def test_every_archive_serves(ask, catalogue, folder, model):
    """Each model answers in TorchServe, and says which release and backend did."""
    answer = await ask(model, catalogue)
    assert answer.run.backend == "onnxruntime"
    assert answer.run.release == registry.current(folder / "releases")
    assert next(iter(answer.arrays.values())).shape[0] == 2


async def until_loaded(ask, version: str):
    """A worker that serves another version lets nobody wait while it loads this one."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await ask("retrieval", version)
            except StageFailed as error:
                if "is still being loaded" not in str(error):
                    raise
                await asyncio.sleep(0.02)


async def test_a_new_catalogue_is_served_without_a_restart(ask, catalogue, folder):
    """A version published now answers in a moment; the one before it still does; one that never was is stale."""
    before = await ask("retrieval", catalogue)
    gone = int(before.arrays["rows"][0, 0])
    newer = make_catalogue(folder / "catalogue", unavailable=(gone,))
    assert gone not in (await until_loaded(ask, newer)).arrays["rows"][0]
    np.testing.assert_array_equal((await ask("retrieval", catalogue)).arrays["rows"], before.arrays["rows"])
    with pytest.raises(StageFailed, match="stale_catalogue"):
        await ask("retrieval", "0" * 16)


async def test_a_killed_worker_comes_back_with_its_catalogue(ask, catalogue, torchserve):
    """After kill -9 of all workers TorchServe starts new ones, which answer as before."""
    before = await ask("cascade", catalogue)
    for process in psutil.Process(torchserve.pid).children(recursive=True):
        if any("model_service_worker" in word for word in process.cmdline()):
            process.kill()
    after = await ask("cascade", catalogue)
    np.testing.assert_array_equal(after.arrays["rows"], before.arrays["rows"])
