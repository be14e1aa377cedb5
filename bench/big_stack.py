"""Banquet over a store of as many items as wanted: what `banquet up` starts, on a release that was there."""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import psutil
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from banquet.app.processes import Child
from banquet.app.settings import read_settings
from banquet.app.wiring import supervised
from banquet.core.loopback import DIRECT
from banquet.releases.manifest import load
from banquet.wire.catalogue_file import read_pointer
from bench.features.big_store import BigSqlite
from bench.ports import free_ports
from bench.stacks import NotStarted
from bench.swap_store import COLUMNS, fill, layout_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from banquet.app.settings import Settings

PATIENCE_S = 600.0
STOP_S = 10.0


class BigStack:
    """A workspace of its own with a release, and a store of many items that fits it."""

    def __init__(
        self,
        folder: Path,
        release: Path,
        model_store: Path,
        *,
        items: int,
        backend: str,
        columns: int = COLUMNS,
        histories: Callable[[int], list[int]] | None = None,
    ) -> None:
        """At least so many `columns`. `histories` gives the item numbers of a user's number; by default any items."""
        self.repo = folder / "repo"
        self.repo.mkdir(parents=True)
        schema = load(release).schema
        layout = layout_of(schema, columns)
        self.store = BigSqlite(self.repo, layout)
        (folder / "var").mkdir()
        (folder / "var/releases").symlink_to(release.parent.absolute())
        told = {
            "workspace": str(folder / "var"),
            "feature_repo": str(self.repo),
            "model_store": str(model_store.absolute()),
            "release": release.name,
            "metrics_port": 0,
            "max_latency_ms": 2000,
            "served_log": False,
            "placements_file": str(_patient_placements(folder)),
            "torchserve": {"backend": backend},
        }
        settings_file = folder / "settings.yaml"
        settings_file.write_text(yaml.safe_dump(told))
        self.settings = read_settings(settings_file)
        self.catalogue = self.settings.catalogue
        fill(self.store, layout, schema, items, self.catalogue, histories)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Settings]:
        """What `banquet up` starts, but for the consumer: there are no events, and no Feast registry that it could read.

        Gives the settings it runs with, once it is ready and follows the store.
        """
        (port,) = free_ports(1)
        settings = self.settings.model_copy(update={"port": port})
        settings.logs.mkdir(parents=True, exist_ok=True)
        torchserve = supervised(settings, settings.release)
        async with AsyncExitStack() as stack:
            await torchserve.start()
            stack.push_async_callback(torchserve.stop)
            at = torchserve.address
            reached = {"address": at.inference, "management": at.management, "key_file": at.key_file}
            settings = settings.model_copy(update={"torchserve": settings.torchserve.model_copy(update=reached)})
            told = settings.workspace / "settings.json"
            told.write_text(json.dumps(settings.model_dump(mode="json")))
            gateway = ["banquet.app.gateway", str(told), "0", str(os.getpid())]
            for name, arguments in (("builder", ["banquet.app.builder", str(told)]), ("gateway", gateway)):
                child = Child(name, arguments, settings.logs / f"{name}.log")
                await child.start()
                stack.push_async_callback(child.stop, STOP_S)
            await self._until_ready(settings.address)
            await asyncio.to_thread(self._wait_until_followed)
            yield settings

    async def _until_ready(self, address: str) -> None:
        async with grpc.aio.insecure_channel(address, options=DIRECT) as channel, asyncio.timeout(PATIENCE_S):
            health = health_pb2_grpc.HealthStub(channel)
            while True:
                try:
                    answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=2.0)
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        return
                except grpc.aio.AioRpcError:
                    # Not listening yet.
                    await asyncio.sleep(0.2)
                await asyncio.sleep(0.2)

    def _wait_until_followed(self) -> None:
        """Until the builder that was started has read the whole store and confirms it."""
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            pointer = read_pointer(self.catalogue)
            if pointer is not None and time.time() - pointer.confirmed_at_s < 1.0:
                return
            time.sleep(0.2)
        raise NotStarted(f"the builder did not follow within {PATIENCE_S:.0f} s")


def _patient_placements(folder: Path) -> Path:
    """The packaged placements without caps per stage: a scan of a million items takes what it takes."""
    body = yaml.safe_load((Path(__file__).parent.parent / "banquet/app/placements.yaml").read_text())
    for placement in body["placements"].values():
        placement.pop("budgets_ms", None)
    path = folder / "placements.yaml"
    path.write_text(yaml.safe_dump(body))
    return path


def memory_of_children(pid: int) -> dict[str, dict[str, float]]:
    """Per process of ours: resident megabytes, and those that no other process shares."""
    found: dict[str, dict[str, float]] = {}
    for child in psutil.Process(pid).children(recursive=True):
        try:
            command, memory = " ".join(child.cmdline()), child.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        name = next(
            (word for word in ("banquet.app.gateway", "banquet.app.builder", "model_service_worker") if word in command), ""
        )
        if name:
            found[f"{name} {child.pid}"] = {"resident": memory.rss / 2**20, "own": memory.uss / 2**20}
    return found


def rss_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
