"""From an acknowledged event to the next read of its user: a real log, the consumer as a process, and the gateway's reader."""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

from banquet.app.consumer import consumer_settings
from banquet.app.settings import read_settings
from banquet.features.offline.prepare import prepare
from banquet.features.project.repo import YAML_VARIABLE, FeatureRepo
from banquet.features.users.opening import open_user_reader
from banquet.feedback.event_log import FileEventLog
from banquet.feedback.events import Event
from banquet.feedback.process import main as consume
from banquet.training.datasets.synthetic import synthesize
from bench.features.case import Case
from bench.features.project import redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from banquet.app.settings import Settings
    from banquet.core.stages import UserReader

EVENTS_PER_S = 200
SECONDS = 15.0
USERS, ITEMS = 1_000, 500
BAR_MS = 100.0
LOOK_EVERY_S = 0.002
PATIENCE_S = 60.0
FEATURE_REPO = Path(__file__).parents[2] / "feature_repo"


def cases(store: str, work: Path) -> list[Case]:
    """Open loop: events leave when they are due, each of another user than those before it."""
    with workspace(store, work / f"events-{store}") as settings:
        spawn = multiprocessing.get_context("spawn")
        consumer = spawn.Process(target=_consume, args=(settings.model_dump_json(),))
        consumer.start()
        try:
            found_ms = asyncio.run(_measure(settings))
        finally:
            consumer.terminate()
            consumer.join()
    cuts = quantiles(found_ms, n=100)
    more = {
        "p90_ms": round(cuts[89], 2),
        "p99_ms": round(cuts[98], 2),
        "max_ms": round(max(found_ms), 2),
        "events": len(found_ms),
        "events_per_s": EVENTS_PER_S,
        "bar_p99_ms": BAR_MS,
    }
    return [Case("event acknowledged -> visible to the next read", store, round(median(found_ms), 2), more=more)]


@contextmanager
def workspace(store: str, folder: Path) -> Iterator[Settings]:
    """A prepared feature repo on a store of its own."""
    repo = Path(shutil.copytree(FEATURE_REPO, folder / "feature_repo", ignore=shutil.ignore_patterns("data", "__pycache__")))
    synthesize(users=USERS, items=ITEMS, events=20_000, seed=1).write(folder / "data")
    settings = read_settings(workspace=folder, feature_repo=repo)
    before = {name: os.environ.get(name) for name in (YAML_VARIABLE, "REDIS")}
    try:
        if store == "redis":
            with redis_server(folder) as port:
                os.environ |= {YAML_VARIABLE: str(repo / "redis" / "feature_store.yaml"), "REDIS": f"127.0.0.1:{port}"}
                prepare(folder / "data", repo, settings.catalogue)
                yield settings
        else:
            prepare(folder / "data", repo, settings.catalogue)
            yield settings
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _consume(settings: str) -> None:
    consume(consumer_settings(read_settings(**json.loads(settings))))


async def _measure(settings: Settings) -> list[float]:
    """Milliseconds from an event's acknowledgement to its item on top of the user's history, for each event."""
    # As a gateway does.
    gc.collect()
    gc.freeze()
    log = FileEventLog(settings.feedback / "log")
    reader = open_user_reader(FeatureRepo.open(settings.feature_repo), settings.catalogue)
    try:
        # The consumer loads Feast first, which takes seconds.
        await _seen(log, reader, 0, PATIENCE_S)
        begun_s = time.perf_counter() + 0.1
        waits = []
        for number in range(1, int(SECONDS * EVENTS_PER_S) + 1):
            await asyncio.sleep(begun_s + number / EVENTS_PER_S - time.perf_counter())
            waits.append(asyncio.create_task(_seen(log, reader, number, PATIENCE_S)))
        return list(await asyncio.gather(*waits))
    finally:
        await reader.aclose()
        await log.close()


async def _seen(log: FileEventLog, reader: UserReader, number: int, patience_s: float) -> float:
    user, item = f"visitor-{number % USERS}", f"seen-{number}"
    await log.append([Event(f"event-{number}", "click", user, item, time.time_ns() // 1_000)])
    began_s = time.perf_counter()
    while (await reader.read(user)).history[:1] != (item,):
        if time.perf_counter() - began_s > patience_s:
            raise TimeoutError(f"an event was not seen within {patience_s:.0f} s")
        await asyncio.sleep(LOOK_EVERY_S)
    return (time.perf_counter() - began_s) * 1e3
