"""From the push of an item to its sight in the catalogue, builder and reader as they run in production; 100,000 items x 20."""

from __future__ import annotations

import multiprocessing
import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

from banquet.features.catalogue.builder import run_builder
from banquet.features.catalogue.follower import CatalogueFollower
from banquet.wire.changed_items import ChangedItems
from bench.features.big_store import activity, big_store, fill, item_id
from bench.features.case import Case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from banquet.features.project.repo import FeatureRepo

ITEMS = 100_000
PUSHES = 20
RESCANS = 3
BAR_MS = 1000.0
PATIENCE_S = 120.0
BETWEEN_S = 0.37


def cases(store: str, work: Path) -> list[Case]:
    """Redis: anyone's push. SQLite: pushes that pass through Banquet, and those of others, which a rescan finds."""
    # Nothing may lie there before: a catalogue of the other store would show its pushes at once.
    work = work / f"items_{store}"
    catalogue = work / "catalogue"
    with big_store(store, work) as big:
        fill(big, ITEMS, 1, catalogue)

        def push(number: int, count: int) -> None:
            big.write("item_activity", iter([(item_id(number), activity(count))]))

        def push_through(number: int, count: int) -> None:
            push(number, count)
            ChangedItems(catalogue).add([item_id(number)], commits=1)

        with following(big.repo, catalogue) as (follower, built_ms):
            if store == "redis":
                return [_case("item push -> catalogue, anyone's", store, _measure(follower, push, PUSHES), built_ms)]
            through = _measure(follower, push_through, PUSHES)
            return [
                _case("item push -> catalogue, through Banquet", store, through, built_ms),
                _case(
                    "item push -> catalogue, anyone's (a rescan)",
                    store,
                    _measure(follower, push, RESCANS, first=PUSHES),
                    built_ms,
                ),
            ]


@contextmanager
def following(repo: FeatureRepo, catalogue: Path) -> Iterator[tuple[CatalogueFollower, float]]:
    """A builder process and a reader of what it publishes, once it did, with how long that took (milliseconds)."""
    spawn = multiprocessing.get_context("spawn")
    stop = spawn.Event()
    began_s = time.monotonic()
    builder = spawn.Process(target=run_builder, args=(repo, catalogue, stop))
    builder.start()
    follower = CatalogueFollower(catalogue)
    follower.start()
    try:
        if not follower.wait(PATIENCE_S):
            raise TimeoutError(f"no catalogue within {PATIENCE_S:.0f} s")
        yield follower, (time.monotonic() - began_s) * 1e3
    finally:
        follower.stop()
        stop.set()
        builder.join()


def _measure(follower: CatalogueFollower, push: Callable[[int, int], None], times: int, first: int = 0) -> list[float]:
    """Milliseconds from before the write to the new value in the reader's catalogue, for each of some pushes."""
    took_ms = []
    for number in range(first, first + times):
        # Not in step with anyone's looks.
        time.sleep(BETWEEN_S)
        item, count = number * 4999 % ITEMS, 5_000 + number
        assert _count(follower, item) != count, f"{item_id(item)} has what is about to be pushed"
        began_s = time.perf_counter()
        push(item, count)
        while _count(follower, item) != count:
            if time.perf_counter() - began_s > PATIENCE_S:
                current = follower.current()
                told = f"catalogue {current.version}, confirmed {current.age_s():.1f} s ago" if current else "no catalogue"
                raise TimeoutError(f"push {number} ({item_id(item)}: {count}) not seen within {PATIENCE_S:.0f} s in {told}")
            time.sleep(0.002)
        took_ms.append((time.perf_counter() - began_s) * 1e3)
    return took_ms


def _count(follower: CatalogueFollower, number: int) -> int:
    current = follower.current()
    assert current is not None, "there is one by now"
    return int(current.column("interaction_count").values[current.rows_of([item_id(number)])[0]])


def _case(name: str, store: str, took_ms: list[float], built_ms: float) -> Case:
    more = {"max_ms": max(took_ms), "pushes": len(took_ms), "items": ITEMS, "bar_ms": BAR_MS, "first_build_ms": built_ms}
    return Case(name, store, median(took_ms), more=more)
