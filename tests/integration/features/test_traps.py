"""The ten traps of Feast online, by number, and what Banquet makes of each."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from banquet.app.settings import Settings
from banquet.core.catalogue import Catalogue
from banquet.core.errors import StageFailed
from banquet.core.query import UserFeatures
from banquet.features.catalogue.catalogue_builder import CatalogueBuilder
from banquet.features.catalogue.item_columns import NOT_FOUND, PRESENT, ItemColumns, columns_of
from banquet.features.catalogue.item_store import open_items, scanned
from banquet.features.project.feast_job import publish_layout
from banquet.features.project.layout import LayoutFile, read_layout, registry_token
from banquet.features.project.repo import FeatureRepo
from banquet.features.users.joined import JoinedUserReader
from banquet.features.users.opening import open_user_reader
from banquet.features.users.rows import Mode
from banquet.features.users.stored import StoredUsers
from banquet.wire.catalogue_file import read_catalogue, read_pointer
from tests.integration.features.dynamodb import stand_in
from tests.integration.features.world import ITEMS, USERS, World

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


async def read(world: World, user_id: str, mode: Mode = "feast") -> UserFeatures:
    reader = open_user_reader(world.repo, world.catalogue, mode=mode)
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


async def test_trap_1_the_sdk_ignores_ttl_and_strict_mode_does_not(sqlite: World) -> None:
    """What is older than its view's ttl is PRESENT to the SDK and to mode `feast`; by Feast's Go server it is OUTSIDE_MAX_AGE."""
    feast = sqlite.feast()
    view = feast.get_feature_view("user_activity")
    view.ttl = timedelta(hours=1)
    feast.apply(view)
    publish_layout(sqlite.repo, sqlite.catalogue)
    sqlite.push_user("stale", ["i1"], at=datetime.now(UTC) - timedelta(hours=2))
    told = feast.get_online_features(["user_activity:history"], {"user_id": ["stale"]}).proto
    assert told.results[1].statuses == [PRESENT]
    for mode, status, history in (("feast", "PRESENT", ("i1",)), ("strict", "OUTSIDE_MAX_AGE", ())):
        user = await read(sqlite, "stale", mode)
        assert (user.statuses["user_activity"], user.history, user.found) == (status, history, True)


@pytest.mark.parametrize(("store", "status"), [("sqlite", NOT_FOUND), ("redis", PRESENT)])
async def test_trap_2_nobody_is_not_found_on_any_store(request: pytest.FixtureRequest, store: str, status: int) -> None:
    """Feast says NOT_FOUND of a missing row on SQLite, and PRESENT without a value of 1970 on Redis."""
    world: World = request.getfixturevalue(store)
    told = world.feast().get_online_features(["user_profile:city"], {"user_id": ["nobody"]}).proto
    assert (told.results[1].statuses, told.results[1].event_timestamps[0].seconds) == ([status], 0)
    nobody = await read(world, "nobody")
    assert (nobody.found, set(nobody.statuses.values())) == (False, {"NOT_FOUND"})


async def test_trap_5_an_older_push_wins_on_sqlite_and_loses_on_redis(sqlite: World, redis: World) -> None:
    """SQLite has no guard on event times. Banquet shows what the store has: the consumer of events keeps the order."""
    for world, history in ((sqlite, ("old",)), (redis, ("new",))):
        world.push_user("late", ["new"], at=NOON)
        world.push_user("late", ["old"], at=NOON - timedelta(days=1))
        assert (await read(world, "late")).history == history


@pytest.fixture
def new_york() -> Iterator[None]:
    before = os.environ.get("TZ")
    _move("America/New_York")
    yield
    _move(before)


def _move(zone: str | None) -> None:
    if zone is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = zone
    time.tzset()


@pytest.mark.usefixtures("new_york")
@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_trap_6_event_times_survive_a_time_zone(request: pytest.FixtureRequest, store: str) -> None:
    """Feast writes UTC as local time into SQLite and takes it back the same way; so does the scan, to the second."""
    world: World = request.getfixturevalue(store)
    # Later than any other push: the Redis is shared.
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    world.push_item("i1", 1, at=later)
    items = scan(world)
    found = items.event_times_us["item_activity"][items.ids.index("i1")]
    told = world.feast().get_online_features(["item_activity:rating_count"], {"item_id": ["i1"]}).proto
    assert found == told.results[1].event_timestamps[0].ToMicroseconds() == later.timestamp() * 1e6


def test_trap_6_a_writer_elsewhere_shifts_the_times(sqlite: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written in one time zone, read in another: SQLite is off by hours, without parts of a second, and so say all of us."""
    _move("UTC")
    sqlite.push_item("i1", 1, at=NOON + timedelta(microseconds=250_000))
    _move("America/New_York")
    try:
        told = sqlite.feast().get_online_features(["item_activity:rating_count"], {"item_id": ["i1"]}).proto
        items = scan(sqlite)
    finally:
        _move(None)
    found = items.event_times_us["item_activity"][items.ids.index("i1")]
    assert found == told.results[1].event_timestamps[0].ToMicroseconds() == (NOON - timedelta(hours=4)).timestamp() * 1e6


def test_trap_4_whole_numbers_beside_nulls_are_the_online_stores(sqlite: World) -> None:
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


async def test_trap_3_readers_go_on_while_a_materialization_is_under_way(sqlite: World) -> None:
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


async def test_trap_3_serving_goes_on_while_the_sdk_says_materializing(sqlite: World) -> None:
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


def test_trap_7_nobody_who_serves_imports_feast() -> None:
    """It takes seconds and 180 MB, and turns metrics into files unless prometheus_client was imported first, as ours is."""
    program = """
import os, sys
import handlers.worker, handlers.retrieval, handlers.ranking, handlers.cascade
assert "feast" not in sys.modules, "a TorchServe worker imports it"
import banquet.app.gateway, banquet.features.users.opening, banquet.features.stores.sqlite, banquet.features.stores.redis
assert "feast" not in sys.modules, "the gateway imports it"
import feast.metrics
from prometheus_client import Counter
from prometheus_client.values import MutexValue
assert isinstance(Counter("asked", "How often.")._value, MutexValue), "the gateway's metrics went to files"
"""
    environment = {name: value for name, value in os.environ.items() if name.lower() != "prometheus_multiproc_dir"}
    outcome = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr


def test_trap_8_a_push_is_seen_though_the_registry_stays(sqlite: World, tmp_path: Path) -> None:
    """A push does not change the registry, a materialization does: the layout follows the registry, the catalogue the store."""
    assert sqlite.repo.registry_file is not None
    items = open_items(sqlite.repo)
    builder = CatalogueBuilder(items, tmp_path / "out")
    layout, before = read_layout(sqlite.catalogue), registry_token(sqlite.repo.registry_file)
    while builder.refresh(layout) is not None:
        pass
    sqlite.push_item("i1", 77)
    assert registry_token(sqlite.repo.registry_file) == before
    deadline_s = time.monotonic() + 10
    while builder.refresh(layout) is None:
        assert time.monotonic() < deadline_s, "the builder saw nothing"
        time.sleep(0.01)
    items.close()
    pointer = read_pointer(tmp_path / "out")
    assert pointer is not None
    catalogue = Catalogue(read_catalogue(tmp_path / "out", pointer.version), 0.0)
    counts = catalogue.column("interaction_count").values  # noqa: PD011 - no frame
    assert counts[catalogue.rows_of(["i1"])].tolist() == [77]
    sqlite.feast().materialize_incremental(datetime.now(UTC), feature_views=["item_profile"])
    assert registry_token(sqlite.repo.registry_file) != before


async def test_trap_9_keys_that_dynamodb_did_not_look_up_are_not_missing(sqlite: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Feast takes a throttled row for NOT_FOUND; Banquet says that the store is unavailable, and answers when it is not."""
    from feast.infra.online_stores.helpers import compute_entity_id  # noqa: PLC0415 - Feast is heavy
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey  # noqa: PLC0415
    from feast.protos.feast.types.Value_pb2 import StringList, Value  # noqa: PLC0415

    from banquet.features.stores.generic import FeastCells  # noqa: PLC0415

    table = stand_in(monkeypatch)
    yaml = sqlite.repo.folder / "dynamodb.yaml"
    body = sqlite.repo.yaml.read_text().replace("type: sqlite", "type: dynamodb\n  region: nowhere")
    yaml.write_text(body.replace("  path: data/online_store.db\n", ""))
    key = compute_entity_id(EntityKey(join_keys=["user_id"], entity_values=[Value(string_val="ada")]), 3)
    blob = Value(string_list_val=StringList(val=["i1"])).SerializeToString()
    table.rows[key] = {"entity_id": key, "event_ts": NOON.isoformat(), "values": {"history": SimpleNamespace(value=blob)}}
    table.throttled.add(key)
    reader = JoinedUserReader(StoredUsers(FeastCells(FeatureRepo.open(sqlite.repo.folder, yaml)), LayoutFile(sqlite.catalogue)))
    with pytest.raises(StageFailed, match="1 keys were not looked up") as failure:
        await reader.read("ada")
    assert failure.value.reason == "unavailable"
    table.throttled.clear()
    assert (await reader.read("ada")).history == ("i1",)
    await reader.aclose()


@pytest.mark.parametrize("store", ["sqlite", "redis"])
async def test_trap_10_callers_need_no_thread_each(request: pytest.FixtureRequest, store: str) -> None:
    """Feast's server has a pool of threads on a port open to all; ours joins whoever waits, on the machine's own address."""
    world: World = request.getfixturevalue(store)
    reader = open_user_reader(world.repo, world.catalogue)
    await reader.read("ada")
    before = threading.active_count()
    reads = [asyncio.create_task(reader.read("ada" if number % 2 else f"u{number}")) for number in range(500)]
    most = before
    while not all(read.done() for read in reads):
        most = max(most, threading.active_count())
        await asyncio.sleep(0)
    assert sum(read.result().found for read in reads) == 250
    assert most <= before
    await reader.aclose()
    assert Settings().address.startswith("127.0.0.1:")
