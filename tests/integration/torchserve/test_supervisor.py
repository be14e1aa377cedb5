"""TorchServe as a child: it leaves nothing behind, and says why it cannot start."""

from __future__ import annotations

import asyncio
import sys
import time
import urllib.request
from dataclasses import replace

import psutil
import pytest

from banquet.core.errors import BadSettings
from banquet.inference.client import TorchServeClient
from banquet.inference.supervisor import TorchServe
from tests.integration.torchserve.probe import job, until_ready

# A process that does nothing but supervise, and tells the child's pid.
PARENT = """
import asyncio, sys
from pathlib import Path
from banquet.inference.configuration import TorchServeSettings
from banquet.inference.supervisor import TorchServe

async def main():
    server = TorchServe(TorchServeSettings(run_folder=Path(sys.argv[1]), model_store=Path(sys.argv[2]), archives={}, heap_mb=128))
    await server.start()
    print(server.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_stopping_finishes_what_is_in_flight_and_leaves_no_process(settings, tmp_path):
    """A gRPC call in flight gets its answer; then TorchServe and its workers are gone, and so is what they unpacked."""
    server = TorchServe(replace(settings, run_folder=tmp_path / "run"))
    await server.start()
    client = TorchServeClient(server.grpc_address)
    await until_ready(client)
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    stacked = {name: array[None] for name, array in job().arrays.items()}
    call = asyncio.create_task(client.run("probe", "slow 500", stacked, 5.0))
    await asyncio.sleep(0.1)
    await server.stop()
    assert (await call).run.backend == "probe"
    assert len(family) == 2
    assert not list((tmp_path / "run" / "sockets").iterdir())
    assert not any(process.is_running() for process in family)
    await client.close()


async def test_when_the_parent_is_killed_torchserve_goes_too(tmp_path):
    """`kill -9` of the parent leaves no TorchServe that nobody supervises."""
    command = [sys.executable, "-c", PARENT, str(tmp_path / "run"), str(tmp_path)]
    parent = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        child = psutil.Process(int(await parent.stdout.readline()))
    finally:
        parent.kill()
        await parent.wait()
    give_up_s = time.monotonic() + 5.0
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < give_up_s
        await asyncio.sleep(0.05)


async def test_the_run_folder_is_private(torchserve, settings):
    """Keys, sockets and logs are for our eyes only; keys alone would not hide what the sockets offer."""
    assert settings.run_folder.stat().st_mode & 0o777 == 0o700
    assert (settings.run_folder / "key_file.json").stat().st_mode & 0o777 == 0o600


async def test_a_second_torchserve_in_the_same_folder_is_refused(torchserve, settings):
    """It would overwrite the configuration of the first."""
    with pytest.raises(BadSettings, match="another TorchServe runs"):
        TorchServe(settings)


async def test_one_that_cannot_start_says_why(settings, tmp_path):
    """The error carries TorchServe's own last words."""
    server = TorchServe(replace(settings, run_folder=tmp_path / "run", heap_mb=1))
    with pytest.raises(BadSettings, match="heap"):
        await server.start()


async def test_metrics_are_there_for_prometheus(torchserve):
    """On loopback, without a key, and nothing but metrics."""
    with await asyncio.to_thread(urllib.request.urlopen, torchserve.metrics_url, timeout=10) as answer:
        assert b"ts_inference_requests_total" in answer.read()


async def test_a_worker_hears_of_the_settings_and_of_no_secret(torchserve):
    """What handlers need is in their environment; what is in ours stays with us."""
    [worker] = psutil.Process(torchserve.pid).children()
    environment = worker.environ()
    assert environment["BANQUET_THREADS"] == environment["OMP_NUM_THREADS"] == "1"
    assert "PYTEST_CURRENT_TEST" not in environment
