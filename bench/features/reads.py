"""What a query reads - one user, hundreds of items - and users read by many at once, against Feast's SDK on the same store."""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import uvloop

from banquet.core.catalogue import Catalogue
from banquet.features.catalogue.catalogue_builder import CatalogueBuilder
from banquet.features.catalogue.item_store import open_items
from banquet.features.project.layout import read_layout
from banquet.features.users.opening import open_user_reader
from banquet.wire.catalogue_file import read_catalogue
from bench.features.case import Case
from bench.features.project import ITEMS, NINETY, TWENTY, USER, USERS, project

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from banquet.core.catalogue import Picked
    from banquet.core.query import UserFeatures
    from bench.features.project import Project

    Answers: TypeAlias = tuple[dict[str, list[object]], dict[str, list[object]]]
    Ours: TypeAlias = Callable[[str, Sequence[str]], Awaitable[tuple[UserFeatures, Mapping[str, Picked]]]]

CONCURRENT = 64
TURNS, TURN_S = 4, 1.0
SDK_CALLS = 30
WIDE_SDK_CALLS = 10
OUR_CALLS_EACH = 40


def cases(store: str, work: Path) -> list[Case]:
    """Rows 1 to 3 of the issue's table."""
    with project(store, work / f"reads_{store}") as made:
        # The loop that a gateway runs on.
        return uvloop.run(_cases(store, made))


async def _cases(store: str, made: Project) -> list[Case]:
    catalogue = _catalogue(made)
    reader = open_user_reader(made.repo, made.catalogue)
    # As a gateway does once everything is there; the SDK gains by it too.
    gc.collect()
    gc.freeze()
    try:
        found = []
        for name, count, view, features, sdk_calls in (
            ("1 user + 500 items x 20 features", 500, "item", list(TWENTY), SDK_CALLS),
            ("1 user + 1000 items x 90 features", 1000, "item_wide", list(NINETY), WIDE_SDK_CALLS),
        ):
            user_references = ["user:history", *(f"user:{feature}" for feature in USER)]
            item_references = [f"{view}:{feature}" for feature in features]

            async def ours(
                user_id: str, items: Sequence[str], names: list[str] = features
            ) -> tuple[UserFeatures, Mapping[str, Picked]]:
                return await reader.read(user_id), catalogue.get(items, names)

            def theirs(
                user_id: str, items: Sequence[str], wanted: tuple[list[str], list[str]] = (user_references, item_references)
            ) -> Answers:
                of_user = made.feast.get_online_features(wanted[0], [{"user_id": user_id}]).to_dict()
                return of_user, made.feast.get_online_features(wanted[1], {"item_id": list(items)}).to_dict()

            found.append(await _alternate(name, store, (count, sdk_calls), ours, theirs))
        return [*found, await _concurrent(store, made, reader.read)]
    finally:
        await reader.aclose()


async def _alternate(
    name: str, store: str, size: tuple[int, int], ours: Ours, theirs: Callable[[str, Sequence[str]], Answers]
) -> Case:
    """Both in turns, so that whatever else the machine does concerns both; other users and items every time."""
    count, sdk_calls = size
    random_ = random.Random(11)
    our_ms: list[float] = []
    sdk_ms: list[float] = []
    for _ in range(sdk_calls):
        user_id, items = _question(random_, count)
        began_s = time.perf_counter()
        of_user, of_items = theirs(user_id, items)
        sdk_ms.append((time.perf_counter() - began_s) * 1e3)
        _same(await ours(user_id, items), of_user, of_items)
        for _ in range(OUR_CALLS_EACH):
            question = _question(random_, count)
            began_s = time.perf_counter()
            await ours(*question)
            our_ms.append((time.perf_counter() - began_s) * 1e3)
    p50, sdk_p50 = statistics.median(our_ms), statistics.median(sdk_ms)
    more = {
        "banquet_p99_ms": round(float(np.percentile(our_ms, 99)), 3),
        "sdk_p99_ms": round(float(np.percentile(sdk_ms, 99)), 1),
        "banquet_calls": len(our_ms),
        "sdk_calls": len(sdk_ms),
    }
    return Case(name, store, round(p50, 4), round(sdk_p50, 2), round(sdk_p50 / p50, 1), more)


async def _concurrent(store: str, made: Project, read: Callable[[str], Awaitable[object]]) -> Case:
    references = ["user:history", *(f"user:{feature}" for feature in USER)]

    def sdk(number: int) -> dict[str, list[object]]:
        answer: dict[str, list[object]] = made.feast.get_online_features(
            references, [{"user_id": f"u{number % USERS}"}]
        ).to_dict()
        return answer

    our_ms: list[float] = []
    sdk_ms: list[float] = []
    our_s = sdk_s = 0.0
    with ThreadPoolExecutor(CONCURRENT) as pool:
        loop = asyncio.get_running_loop()
        for _ in range(TURNS):
            sdk_s += await _callers(lambda number: loop.run_in_executor(pool, sdk, number), sdk_ms)
            our_s += await _callers(lambda number: read(f"u{number % USERS}"), our_ms)
    rate, sdk_rate = len(our_ms) / our_s, len(sdk_ms) / sdk_s
    more = {"banquet_reads_per_s": round(rate), "sdk_reads_per_s": round(sdk_rate), "concurrency": CONCURRENT}
    name = f"user reads at concurrency {CONCURRENT}"
    return Case(
        name, store, round(statistics.median(our_ms), 3), round(statistics.median(sdk_ms), 2), round(rate / sdk_rate, 1), more
    )


async def _callers(call: Callable[[int], Awaitable[object]], latencies_ms: list[float]) -> float:
    """Callers who each wait for their answer, for a while; how long it was, in seconds."""
    began_s = time.perf_counter()

    async def caller(first: int) -> None:
        number = first
        while time.perf_counter() - began_s < TURN_S:
            asked_s = time.perf_counter()
            await call(number)
            latencies_ms.append((time.perf_counter() - asked_s) * 1e3)
            number += CONCURRENT

    await asyncio.gather(*(caller(first) for first in range(CONCURRENT)))
    return time.perf_counter() - began_s


def _catalogue(made: Project) -> Catalogue:
    items = open_items(made.repo)
    try:
        built = CatalogueBuilder(items, made.catalogue).build(read_layout(made.catalogue))
    finally:
        items.close()
    return Catalogue(read_catalogue(made.catalogue, built.version), time.time())


def _question(random_: random.Random, count: int) -> tuple[str, list[str]]:
    return f"u{random_.randrange(USERS)}", [f"i{number}" for number in random_.sample(range(ITEMS), count)]


def _same(
    ours: tuple[UserFeatures, Mapping[str, Picked]], of_user: dict[str, list[object]], of_items: dict[str, list[object]]
) -> None:
    """Raises `AssertionError` unless both say the same."""
    user, items = ours
    assert (list(user.history), user.values) == (of_user["history"][0], {name: of_user[name][0] for name in USER})
    for name, picked in items.items():
        assert list(picked.values) == of_items[name], f"{name} differs from the SDK's answer"
