"""What the builder learns of writes, from real stores and a real registry."""

import time
from pathlib import Path

import pytest

from banquet.features.catalogue.catalogue_builder import CatalogueBuilder
from banquet.features.catalogue.item_columns import ItemTable, columns_of
from banquet.features.catalogue.item_store import open_items, scanned
from banquet.features.catalogue.scan_redis import RedisItems
from banquet.features.project.layout import read_layout
from banquet.features.project.registry_states import RegistryStates
from banquet.features.project.repo import RedisStore
from tests.integration.features.world import World


def test_redis_names_the_items_that_anyone_writes(redis: World) -> None:
    """By key tracking on a stock server: Feast's own push, and nothing of users."""
    layout = read_layout(redis.catalogue)
    items = open_items(redis.repo)
    assert items.changes(layout).others, "the first time all may be new"
    redis.push_user("someone", ["i1"])
    redis.push_item("i2", 41)
    seen: set[str] = set()
    deadline_s = time.monotonic() + 5
    while "i2" not in seen:
        assert time.monotonic() < deadline_s
        changes = items.changes(layout)
        assert not changes.others
        seen |= changes.items
    assert seen == {"i2"}
    items.close()


def test_a_row_read_by_itself_is_as_a_scan_finds_it(sqlite: World, redis: World) -> None:
    """On both stores, also for an item that is gone or never was."""
    for world in (sqlite, redis):
        layout = read_layout(world.catalogue)
        items = open_items(world.repo)
        table = scanned(items, layout)
        world.push_item("i1", 1234)
        items.read(layout, table, ["i1", "never"], list(table.views))
        patched, anew = columns_of(table), columns_of(scanned(items, layout))
        assert patched.ids == anew.ids
        for name, column in anew.columns.items():
            assert patched.columns[name].values.tobytes() == column.values.tobytes()
        assert patched.columns["interaction_count"].values[patched.ids.index("i1")] == 1234
        items.close()


def test_a_lost_connection_means_reading_everything(redis: World) -> None:
    """What was written while nobody listened is unknown."""
    layout = read_layout(redis.catalogue)
    assert isinstance(redis.repo.store, RedisStore)
    items = RedisItems(redis.repo.store.options)
    items.changes(layout)
    assert not items.changes(layout).others
    assert items._tracking is not None
    items._tracking._connection.disconnect()
    time.sleep(0.05)
    items._forget()
    assert items.changes(layout).others
    items.close()


def test_without_key_tracking_a_server_still_tells_that_something_was_written(
    redis: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old server, or one that does not allow it: every write may be anyone's."""
    layout = read_layout(redis.catalogue)
    assert isinstance(redis.repo.store, RedisStore)
    monkeypatch.setattr("banquet.features.catalogue.redis_tracking.TRACKING", ("CLIENT", "NO-SUCH-THING"))
    items = RedisItems(redis.repo.store.options)
    items.changes(layout)
    assert not items.changes(layout).others
    redis.push_item("i2", 42)
    assert items.changes(layout).others
    items.close()


def test_the_registry_tells_which_views_are_being_materialized(sqlite: World, tmp_path: Path) -> None:
    """Read without Feast, from what Feast wrote; the catalogue waits for the transition back."""
    from feast.feature_view import FeatureViewState  # noqa: PLC0415 - Feast is heavy

    states = RegistryStates(sqlite.repo.registry_file, sqlite.repo.project)
    assert states.materializing() == frozenset()
    feast, layout = sqlite.feast(), read_layout(sqlite.catalogue)
    items = open_items(sqlite.repo)
    builder = CatalogueBuilder(items, tmp_path / "own", states)
    builder.refresh(layout)

    def become(state: FeatureViewState) -> None:
        view = feast.get_feature_view("item_activity")
        view.state = state
        feast.registry.apply_feature_view(view, feast.project, commit=True)

    become(FeatureViewState.MATERIALIZING)
    assert states.materializing() == {"item_activity"}
    sqlite.push_item("i1", 77)
    assert builder.refresh(layout) is None
    become(FeatureViewState.AVAILABLE_ONLINE)
    assert states.materializing() == frozenset()
    assert builder.refresh(layout) is not None
    items.close()


def test_a_registry_caught_half_written_changes_nothing(tmp_path: Path) -> None:
    """It is asked again."""
    file = tmp_path / "registry.db"
    states = RegistryStates(file, "p")
    assert states.materializing() == frozenset()
    file.write_bytes(b"\x32\x7f\x0a")
    assert states.materializing() == frozenset()


def test_a_table_has_room_for_items_that_were_never_scanned(sqlite: World) -> None:
    """An empty table, filled item by item."""
    layout = read_layout(sqlite.catalogue)
    items = open_items(sqlite.repo)
    table = ItemTable(layout)
    items.read(layout, table, ["i2", "i1"], list(table.views))
    assert columns_of(table).ids == ["i1", "i2"]
    items.close()
