"""What Feast really does online, and what Banquet makes of it."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from banquet.core.query import UserFeatures
from banquet.features.item_columns import ItemColumns, columns_of
from banquet.features.item_store import open_items, scanned
from banquet.features.layout import read_layout
from banquet.features.users import open_user_reader
from tests.integration.features.world import ITEMS, USERS, World

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


async def read(world: World, user_id: str) -> UserFeatures:
    reader = open_user_reader(world.repo, world.catalogue)
    try:
        return await reader.read(user_id)
    finally:
        await reader.aclose()


def scan(world: World) -> ItemColumns:
    items = open_items(world.repo)
    try:
        return columns_of(scanned(items, read_layout(world.catalogue)))
    finally:
        items.close()


@pytest.mark.parametrize("store", ["sqlite", "redis"])
async def test_users_are_as_the_sdk_tells_them(request: pytest.FixtureRequest, store: str) -> None:
    """Every value and the history, of known and unknown users, equal to `get_online_features`."""
    world: World = request.getfixturevalue(store)
    names = [(view.name, name) for view in read_layout(world.catalogue).users for name in view.features]
    ids = [*USERS["user_id"], "nobody"]
    told = world.feast().get_online_features(
        [f"{view}:{name}" for view, name in names], {"user_id": ids}, full_feature_names=True
    )
    answers = told.to_dict()
    for row, user_id in enumerate(ids):
        user = await read(world, user_id)
        for view, name in names:
            expected = answers[f"{view}__{name}"][row]
            found = list(user.history) or None if name == "history" else user.values[name]
            np.testing.assert_equal(found, expected, err_msg=f"{user_id} {name}")
        assert user.found == (user_id != "nobody")


async def test_an_older_push_wins_on_sqlite_and_loses_on_redis(sqlite: World, redis: World) -> None:
    """SQLite has no guard on event times. Banquet shows what the store has: the consumer of events keeps the order."""
    for world, history in ((sqlite, ("old",)), (redis, ("new",))):
        world.push_user("late", ["new"], at=NOON)
        world.push_user("late", ["old"], at=NOON - timedelta(days=1))
        assert (await read(world, "late")).history == history


@pytest.fixture
def new_york() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "America/New_York"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("new_york")
@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_event_times_survive_a_time_zone(request: pytest.FixtureRequest, store: str) -> None:
    """Feast writes UTC as local time into SQLite and takes it back the same way; so does the scan, to the second."""
    world: World = request.getfixturevalue(store)
    # Later than any other push: the Redis is shared.
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    world.push_item("i1", 1, at=later)
    items = scan(world)
    found = items.event_times_us["item_activity"][items.ids.index("i1")]
    told = world.feast().get_online_features(["item_activity:rating_count"], {"item_id": ["i1"]}).proto
    assert found == told.results[1].event_timestamps[0].ToMicroseconds() == later.timestamp() * 1e6


def test_whole_numbers_beside_nulls_are_the_online_stores(sqlite: World) -> None:
    """Materialize sends such columns through float64; the catalogue holds what came of it, not what the parquet says."""
    sqlite.feast().write_to_online_store("item_profile", _profile([2**53 + 1, None]))
    items = scan(sqlite)
    told = sqlite.feast().get_online_features(["item_profile:year"], {"item_id": ["big", "none"]}).to_dict()["year"]
    years = items.columns["year"].values
    assert [years[items.ids.index("big")].item(), told[1]] == [told[0], None]


def _profile(years: list[int | None]):  # type: ignore[no-untyped-def]
    import pandas as pd  # noqa: PLC0415 - only here

    columns = {name: [None] * 2 for name in ITEMS} | {"item_id": ["big", "none"], "available": [True, True], "year": years}
    columns["genres"] = [["a"], ["a"]]
    return pd.DataFrame(columns | {"event_timestamp": [NOON] * 2, "created": [NOON] * 2})


async def test_readers_go_on_while_a_materialization_is_under_way(sqlite: World) -> None:
    """A great uncommitted write spills to disk; without write-ahead logging, SQLite would lock readers out until its end."""
    writer = sqlite3.connect(sqlite.repo.folder / "data/online_store.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.executemany(
        "INSERT INTO banquet_user_profile VALUES (?, 'age', ?, NULL, NULL, 0, 0)",
        ((f"{number}".encode(), bytes(1000)) for number in range(8000)),
    )
    reader = open_user_reader(sqlite.repo, sqlite.catalogue)
    async with asyncio.timeout(2):
        ada = await reader.read("ada")
    assert ada.values["age"] == 36  # noqa: PD011 - no frame
    assert "i1" in scan(sqlite).ids
    writer.execute("ROLLBACK")
    writer.close()
    await reader.aclose()


async def test_serving_goes_on_while_the_sdk_says_materializing(sqlite: World) -> None:
    """Since Feast 0.64 a view that is being materialized may be refused to the SDK's readers; the store still answers ours."""
    from feast.feature_view import FeatureViewState  # noqa: PLC0415 - Feast is heavy

    feast = sqlite.feast()
    view = feast.get_feature_view("user_profile")
    view.state = FeatureViewState.MATERIALIZING
    feast.registry.apply_feature_view(view, feast.project, commit=True)
    ada = await read(sqlite, "ada")
    assert ada.values["city"] == "Köln"  # noqa: PD011 - no frame
    told = feast.get_online_features(["user_profile:city"], {"user_id": ["ada"]}).to_dict()
    assert told["city"] == ["Köln"], "serve_features_while_materializing keeps the SDK serving too"
