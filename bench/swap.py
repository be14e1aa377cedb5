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
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import psutil

from banquet.releases import registry
from banquet.v1 import recommendation_pb2 as pb
from banquet.wire.catalogue_file import CatalogueReader, read_pointer
from banquet.wire.changed_items import ChangedItems
from bench import report, workspace
from bench.answers import describe, requests_for
from bench.big_stack import BigStack, memory_of_children, rss_bytes
from bench.features.big_store import activity, item_id
from bench.load import Outcome, Target, closed_loop, open_loop
from bench.measure import METHOD
from bench.swap_store import COLUMNS, USERS

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterator

    from banquet.app.settings import Settings

SETTLED_S = 3.0
PATIENCE_S = 300.0


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
        store, backend = settings.model_store, settings.torchserve.backend
        self._stack = BigStack(folder / "big", release, store, items=arguments.items, backend=backend)
        self.catalogue = self._stack.catalogue

    def build(self) -> dict[str, Any]:
        """The catalogue from nothing, in a process of its own: seconds, megabytes of files and of that process at most."""
        command = [sys.executable, "-c", "from banquet.app.cli import main; main()", "features", "build-catalogue", "--json"]
        child = subprocess.Popen(
            [*command, "--repo", str(self._stack.repo), "--catalogue", str(self.catalogue)], stdout=subprocess.PIPE, text=True
        )
        most = 0
        process = psutil.Process(child.pid)
        while child.poll() is None:
            most = max(most, rss_bytes(process))
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
            "store_mb": self._stack.store.file.stat().st_size / 2**20,
            "builder_peak_mb": most / 2**20,
        }

    def serve(self) -> dict[str, Any]:
        """Phases without and with new versions, in turns, under the same load."""
        return asyncio.run(self._serve())

    async def _serve(self) -> dict[str, Any]:
        async with self._stack.running() as settings:
            return await self._measure(settings.address)

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
            memory = memory_of_children(os.getpid())
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
            self._stack.store.write("item_activity", ((item, activity(draw.randrange(9999))) for item in ids))
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
