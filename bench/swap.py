"""`python -m bench swap`: what a new catalogue version costs the callers of a million items, and what it takes to make."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import grpc
import psutil
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from banquet.app.processes import Child
from banquet.app.settings import read_settings
from banquet.app.wiring import supervised
from banquet.releases import registry
from banquet.releases.manifest import load
from banquet.v1 import recommendation_pb2 as pb
from banquet.wire.catalogue_file import CatalogueReader, read_pointer
from banquet.wire.changed_items import ChangedItems
from bench import report, stacks, workspace
from bench.answers import describe, requests_for
from bench.features.big_store import BigSqlite, activity, item_id
from bench.load import Outcome, Target, closed_loop, open_loop
from bench.measure import METHOD
from bench.ports import free_ports
from bench.swap_store import COLUMNS, USERS, fill, layout_of

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import AsyncIterator, Callable, Iterator

    from banquet.app.settings import Settings

SETTLED_S = 3.0
PATIENCE_S = 300.0
STOP_S = 10.0


def add_arguments(parser: ArgumentParser) -> None:
    workspace.add_arguments(parser)
    parser.add_argument("--items", type=int, default=1_000_000, help="items in the catalogue")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each phase")
    parser.add_argument("--rounds", type=int, default=2, help="turns of a quiet phase and one with swaps")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between pushes, each of which makes a version")
    parser.add_argument("--pushed", type=int, default=100, help="items per push")
    parser.add_argument("--share", type=float, default=0.3, help="load, as a share of what one caller after the other gets")


def run(arguments: Namespace) -> None:
    settings = workspace.prepare(arguments)
    release = registry.resolve(settings.releases, settings.release or None)
    with TemporaryDirectory(prefix="bench-swap-") as name:
        bench = SwapBench(Path(name), settings, release, arguments)
        built = bench.build()
        served = bench.serve()
    workload = {name: getattr(arguments, name) for name in ("items", "seconds", "rounds", "every", "pushed", "limit")}
    found = {**report.circumstances(workload | {"columns": COLUMNS}), "build": built, **served}
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({name: found[name] for name in ("build", "p99_ratio", "quiet", "swaps", "memory_mb")}, indent=1))


class SwapBench:
    """A workspace of its own with the release that was there, and a store of many items that fits it."""

    def __init__(self, folder: Path, settings: Settings, release: Path, arguments: Namespace) -> None:
        self._arguments = arguments
        self._repo = folder / "repo"
        self._repo.mkdir()
        schema = load(release).schema
        self._layout = layout_of(schema)
        self._store = BigSqlite(self._repo, self._layout)
        (folder / "var").mkdir()
        (folder / "var/releases").symlink_to(settings.releases.absolute())
        told = {
            "workspace": str(folder / "var"),
            "feature_repo": str(self._repo),
            "model_store": str(settings.model_store.absolute()),
            "release": release.name,
            "metrics_port": 0,
            "max_latency_ms": 2000,
            "served_log": False,
            "placements_file": str(_patient_placements(folder)),
            "torchserve": {"backend": settings.torchserve.backend},
        }
        self._settings_file = folder / "settings.yaml"
        self._settings_file.write_text(yaml.safe_dump(told))
        self._settings = read_settings(self._settings_file)
        self.catalogue = self._settings.catalogue
        fill(self._store, self._layout, schema, arguments.items, self.catalogue)

    def build(self) -> dict[str, Any]:
        """The catalogue from nothing, in a process of its own: seconds, megabytes of files and of that process at most."""
        command = [sys.executable, "-c", "from banquet.app.cli import main; main()", "features", "build-catalogue", "--json"]
        child = subprocess.Popen(
            [*command, "--repo", str(self._repo), "--catalogue", str(self.catalogue)], stdout=subprocess.PIPE, text=True
        )
        most = 0
        process = psutil.Process(child.pid)
        while child.poll() is None:
            most = max(most, _rss(process))
            time.sleep(0.1)
        assert child.stdout is not None, "it is piped"
        built = json.loads(child.stdout.read())
        size = sum(path.stat().st_size for path in self.catalogue.rglob("*") if path.is_file())
        return {
            "items": built["items"],
            "columns": built["columns"],
            "scan_s": built["scan_ms"] / 1e3,
            "publish_s": built["publish_ms"] / 1e3,
            "files_mb": size / 2**20,
            "store_mb": self._store.file.stat().st_size / 2**20,
            "builder_peak_mb": most / 2**20,
        }

    def serve(self) -> dict[str, Any]:
        """Phases without and with new versions, in turns, under the same load."""
        return asyncio.run(self._serve())

    async def _serve(self) -> dict[str, Any]:
        async with self._running() as address:
            await self._until_ready(address)
            await asyncio.to_thread(self._wait_until_followed)
            return await self._measure(address)

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[str]:
        """What `banquet up` starts, but for the consumer: there are no events, and no Feast registry that it could read."""
        (port,) = free_ports(1)
        settings = self._settings.model_copy(update={"port": port})
        settings.logs.mkdir(parents=True, exist_ok=True)
        torchserve = supervised(settings)
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
            yield settings.address

    async def _until_ready(self, address: str) -> None:
        async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(PATIENCE_S):
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

    async def _measure(self, address: str) -> dict[str, Any]:
        its = self._arguments
        requests = requests_for([f"u{number}" for number in range(USERS)], placement=workspace.PLACEMENT, limit=its.limit)
        quiet, swaps = Outcome(), Outcome()
        async with Target(address, METHOD, requests, connections=4) as target:
            alone = await closed_loop(target, concurrency=1, seconds=5.0)
            rate = its.share * alone.rps
            with self._pushing():
                await open_loop(target, rate_per_s=rate, seconds=SETTLED_S + its.every)
            for turn in range(its.rounds):
                await self._until_settled(target)
                _add(quiet, await open_loop(target, rate_per_s=rate, seconds=its.seconds, seed=turn))
                with self._pushing():
                    _add(swaps, await open_loop(target, rate_per_s=rate, seconds=its.seconds, seed=turn))
            memory = _memory(os.getpid())
        take_ms = self._take_ms()
        return {
            "rate_per_s": rate,
            "p99_ratio": swaps.percentile_ms(99) / quiet.percentile_ms(99),
            "quiet": _summary(quiet),
            "swaps": _summary(swaps),
            "reader_takes_a_version_ms": take_ms,
            "memory_mb": memory,
        }

    async def _until_settled(self, target: Target) -> None:
        """Until the newest version is the one that answers name, and a while longer."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await asyncio.sleep(SETTLED_S)
                pointer = read_pointer(self.catalogue)
                one = await closed_loop(target, concurrency=1, seconds=PATIENCE_S, max_calls=1)
                if pointer is not None and _versions(one) == {pointer.version}:
                    return

    @contextmanager
    def _pushing(self) -> Iterator[None]:
        """Pushes through Banquet, one after the other, from a thread of its own."""
        stop = threading.Event()
        thread = threading.Thread(target=self._push_on, args=(stop.wait,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _push_on(self, wait: Callable[[float], bool]) -> None:
        draw = random.Random(1)
        while not wait(self._arguments.every):
            ids = [item_id(draw.randrange(self._arguments.items)) for _ in range(self._arguments.pushed)]
            self._store.write("item_activity", ((item, activity(draw.randrange(9999))) for item in ids))
            ChangedItems(self.catalogue).add(ids, commits=1)

    def _take_ms(self) -> list[float]:
        """What a reader that has the version before needs for the next one, mapping and checking included."""
        reader, took_ms = CatalogueReader(self.catalogue), []
        versions = sorted(self.catalogue.glob("[0-9a-f]" * 16 + ".json"), key=lambda path: path.stat().st_mtime)[-3:]
        for path in versions:
            began_s = time.perf_counter()
            reader.read(path.stem)
            took_ms.append((time.perf_counter() - began_s) * 1e3)
        return took_ms

    def _wait_until_followed(self) -> None:
        """Until the builder that was started has read the whole store and confirms it."""
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            pointer = read_pointer(self.catalogue)
            if pointer is not None and time.time() - pointer.confirmed_at_s < 1.0:
                return
            time.sleep(0.2)
        raise stacks.NotStarted(f"the builder did not follow within {PATIENCE_S:.0f} s")


def _patient_placements(folder: Path) -> Path:
    """The packaged placements without caps per stage: a scan of a million items takes what it takes."""
    body = yaml.safe_load((Path(__file__).parent.parent / "banquet/app/placements.yaml").read_text())
    for placement in body["placements"].values():
        placement.pop("budgets_ms", None)
    path = folder / "placements.yaml"
    path.write_text(yaml.safe_dump(body))
    return path


def _add(total: Outcome, outcome: Outcome) -> None:
    total.samples += outcome.samples
    total.failures += outcome.failures
    total.elapsed_s += outcome.elapsed_s


def _versions(outcome: Outcome) -> set[str]:
    return {pb.RecommendResponse.FromString(sample.answer).info.catalogue_version for sample in outcome.samples if sample.answer}


def _summary(outcome: Outcome) -> dict[str, Any]:
    percentiles = {f"p{percent}_ms": outcome.percentile_ms(percent) for percent in (50, 90, 99)}
    degraded = describe(outcome.samples)["degradations"]
    return {
        "answered": len(outcome.samples),
        "failures": dict(outcome.failures),
        "degradations": degraded,
        "versions": len(_versions(outcome)),
        **percentiles,
        "max_ms": outcome.percentile_ms(100),
    }


def _memory(pid: int) -> dict[str, dict[str, float]]:
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


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
