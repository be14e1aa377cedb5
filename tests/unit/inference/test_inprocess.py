"""The handlers in this process: shared tables, jobs off the event loop, and what becomes of those that nobody waits for."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from banquet.core.errors import StageFailed
from banquet.inference.failures import NotDone
from banquet.inference.inprocess import HANDLERS, MOST_WAITING, InProcess
from banquet.inference.stacking import stack
from tests.contract.model_client.jobs import job
from tests.release_factory import make_catalogue, make_release

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    return make_release(tmp_path_factory.mktemp("releases"))


@asynccontextmanager
async def hosting(release: Path, catalogues: Path) -> AsyncIterator[InProcess]:
    """Loaded, or failed to."""
    host = InProcess(release, catalogues)
    await asyncio.wait([asyncio.wrap_future(host._served)])
    yield host
    await host.close()


class Slow:
    """A handler that takes as long as it is let."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.begun = 0

    def handle(self, requests, context):
        self.begun += 1
        self.go_on.wait(5)
        return [b"not tensors"]


async def reason_of(call) -> str:
    with pytest.raises(StageFailed) as caught:
        await call
    return caught.value.reason


async def test_all_models_share_one_copy_of_the_tables(release, tmp_path):
    """TorchServe's workers cannot: each has its own."""
    version = make_catalogue(tmp_path)
    async with hosting(release, tmp_path) as host:
        for model in HANDLERS:
            await host.run(model, version, stack([job(model, version).arrays]), 5.0)
        tables = {id(handler._worker.catalogues.get(version)) for handler in host._handlers.values()}
        assert len(tables) == 1
        assert len(host._handlers) == 3


async def test_a_new_catalogue_is_followed(release, tmp_path):
    """As workers do, and earlier rows are still answered."""
    first = make_catalogue(tmp_path)
    async with hosting(release, tmp_path) as host:
        second = make_catalogue(tmp_path, seed=1, new_items=3)
        give_up_s = time.monotonic() + 10.0
        while second not in host._served.result().catalogues.versions():
            assert time.monotonic() < give_up_s
            await asyncio.sleep(0.05)
        for version in (first, second):
            asked = job("ranking", version)
            answer = await host.run("ranking", version, stack([asked.arrays]), 5.0)
            assert not np.isnan(answer.arrays["scores"]).any()


async def test_while_it_loads_everything_is_unavailable(release, tmp_path):
    """And says why."""
    host = InProcess(release, tmp_path)
    with pytest.raises(NotDone, match="being loaded"):
        await host.check("cascade", 1.0)
    await asyncio.wait([asyncio.wrap_future(host._served)])
    await host.check("cascade", 1.0)
    await host.close()


async def test_one_closed_while_it_loads_leaves_no_thread_behind(release, tmp_path):
    """The catalogue's follower, which the loading starts, ends with it."""
    host = InProcess(release, tmp_path)
    await host.close()
    served = await asyncio.wrap_future(host._served)
    give_up_s = time.monotonic() + 5.0
    while served.catalogues._follower.is_alive():
        assert time.monotonic() < give_up_s
        await asyncio.sleep(0.02)


async def test_a_release_that_cannot_be_loaded_says_which_file(release, tmp_path):
    """Again and again, to whoever asks."""
    broken = tmp_path / release.name
    shutil.copytree(release, broken)
    (broken / "graphs/ranker.onnx").write_bytes(b"changed")
    async with hosting(broken, tmp_path / "catalogue") as host:
        for _ in range(2):
            with pytest.raises(NotDone, match=r"graphs/ranker\.onnx"):
                await host.check("ranking", 1.0)


async def test_a_job_that_was_given_up_before_its_turn_is_never_run(release, tmp_path):
    """Late or cancelled, it leaves the queue; the one that was begun goes on for nobody."""
    slow = Slow()
    async with hosting(release, tmp_path) as host:
        host._handlers["ranking"] = slow
        begun = asyncio.create_task(host.run("ranking", "c", {}, 0.2))
        await asyncio.sleep(0.02)
        late = asyncio.create_task(host.run("ranking", "c", {}, 0.05))
        gone = asyncio.create_task(host.run("ranking", "c", {}, 5.0))
        await asyncio.sleep(0.02)
        gone.cancel()
        assert [await reason_of(late), await reason_of(begun)] == ["timeout", "timeout"]
        slow.go_on.set()
        assert await reason_of(host.run("ranking", "c", {}, 5.0)) == "model_error"
        assert slow.begun == 2
        assert host._jobs == 0


async def test_only_so_many_jobs_may_wait(release, tmp_path):
    """A hung model does not fill the memory."""
    slow = Slow()
    async with hosting(release, tmp_path) as host:
        host._handlers["ranking"] = slow
        asked = [asyncio.create_task(host.run("ranking", "c", {}, 5.0)) for _ in range(1 + MOST_WAITING)]
        await asyncio.sleep(0)
        assert await reason_of(host.run("ranking", "c", {}, 5.0)) == "overloaded"
        slow.go_on.set()
        assert {await reason_of(task) for task in asked} == {"model_error"}


async def test_the_event_loop_goes_on_while_a_model_works(release, tmp_path):
    """Jobs run in threads of their own."""
    slow = Slow()
    async with hosting(release, tmp_path) as host:
        host._handlers["ranking"] = slow
        asked = asyncio.create_task(host.run("ranking", "c", {}, 5.0))
        await asyncio.sleep(0.05)
        assert slow.begun == 1
        slow.go_on.set()
        assert await reason_of(asked) == "model_error"


async def test_a_handler_that_raises_is_a_model_error(release, tmp_path, caplog):
    """The log has the rest."""

    class Broken:
        def handle(self, requests, context):
            raise ZeroDivisionError("a bug")

    async with hosting(release, tmp_path) as host:
        host._handlers["ranking"] = Broken()
        assert await reason_of(host.run("ranking", "c", {}, 5.0)) == "model_error"
    assert "ZeroDivisionError" in caplog.text
