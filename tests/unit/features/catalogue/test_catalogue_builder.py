"""The catalogue, built from a SQLite file laid out as Feast lays it out."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from banquet.core.errors import BadSettings, StageFailed
from banquet.features.catalogue import catalogue_builder as module
from banquet.features.catalogue import sqlite_commits
from banquet.features.catalogue.builder import run_builder
from banquet.features.catalogue.catalogue_builder import CatalogueBuilder
from banquet.features.catalogue.item_columns import ItemTable
from banquet.features.catalogue.item_store import open_items, scanned
from banquet.features.catalogue.scan_sqlite import SqliteItems
from banquet.features.project.layout import Layout
from banquet.features.project.repo import FeatureRepo, OtherStore, SqliteStore
from banquet.features.stores.encoding import KeyFormat
from banquet.wire.catalogue_file import CatalogueFile, read_catalogue, read_pointer
from banquet.wire.changed_items import ChangedItems
from tests.unit.features.feast_bytes import LAYOUT, Write, flag, integer, make_anew, real, text, texts


@pytest.fixture
def builder(store: Path, layout_folder: Path) -> CatalogueBuilder:
    return CatalogueBuilder(SqliteItems(store), layout_folder)


def item(write: Write, item_id: str, title: str = "T", genres: tuple[str, ...] = ("g",)) -> None:
    write("item_profile", item_id, {"available": flag(True), "title": text(title), "genres": texts(genres)})


def published(folder: Path) -> CatalogueFile:
    pointer = read_pointer(folder)
    assert pointer is not None
    return read_catalogue(folder, pointer.version)


def test_items_become_columns_in_the_order_of_their_ids(builder: CatalogueBuilder, layout_folder: Path, write: Write) -> None:
    """Numbers, categories and lists, each with its view."""
    item(write, "b", "Bäume", ("y", "x"))
    item(write, "a", "Autos", ())
    write("item_activity", "b", {"interaction_count": integer(3), "rating_mean": real(4.5)})
    builder.build(LAYOUT)
    found = published(layout_folder)
    assert found.ids.to_list() == ["a", "b"]
    assert [found.columns["title"].text(row) for row in (0, 1)] == ["Autos", "Bäume"]
    assert [found.columns["genres"].text(row) for row in (0, 1)] == ["", "y|x"]
    assert found.columns["interaction_count"].values.tolist() == [0, 3]
    assert np.isnan(found.columns["rating_mean"].values[0])
    assert found.columns["available"].values.tolist() == [True, True]
    assert found.columns["rating_mean"].view == "item_activity"


def test_statuses_and_times_are_those_of_each_view(builder: CatalogueBuilder, layout_folder: Path, write: Write) -> None:
    """1 is Feast's PRESENT, 3 its NOT_FOUND."""
    item(write, "a")
    builder.build(LAYOUT)
    found = published(layout_folder)
    assert (found.statuses["item_profile"].tolist(), found.statuses["item_activity"].tolist()) == ([1], [3])
    assert found.event_times_us["item_activity"].tolist() == [0]
    assert found.event_times_us["item_profile"][0] > 0


def test_an_item_is_what_has_a_profile(builder: CatalogueBuilder, layout_folder: Path, write: Write) -> None:
    """Activity alone makes none, nor does another entity's key."""
    item(write, "a")
    write("item_activity", "ghost", {"interaction_count": integer(1)})
    write("item_profile", "foreign", {"dropped": text("x")})
    builder.build(LAYOUT)
    assert published(layout_folder).ids.to_list() == ["a"]


def test_nulls_and_values_of_another_type_count_as_missing(builder: CatalogueBuilder, layout_folder: Path, write: Write) -> None:
    """A leftover of an older definition does not break the build."""
    write("item_profile", "a", {"available": b"", "title": integer(1), "genres": text("no list")})
    builder.build(LAYOUT)
    columns = published(layout_folder).columns
    assert (columns["available"].values[0], columns["title"].values[0], columns["genres"].offsets.tolist()) == (False, -1, [0, 0])


def test_equal_content_keeps_its_version_whatever_the_order(builder: CatalogueBuilder, write: Write, store: Path) -> None:
    """A version names content, not the moment of a build."""
    for item_id in ("a", "b"):
        item(write, item_id, f"title {item_id}")
    first = builder.build(LAYOUT).version
    with sqlite3.connect(store) as connection:
        connection.execute("DELETE FROM banquet_item_profile")
    connection.close()
    for item_id in ("b", "a"):
        item(write, item_id, f"title {item_id}")
    assert builder.build(LAYOUT).version == first


def test_an_unchanged_store_is_confirmed_and_not_read_again(
    builder: CatalogueBuilder, layout_folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The age that answers report stays small on a quiet store."""
    monkeypatch.setattr(module, "CONFIRM_EVERY_S", 0.0)
    item(write, "a")
    assert builder.refresh(LAYOUT) is not None
    first = read_pointer(layout_folder)
    assert builder.refresh(LAYOUT) is None
    second = read_pointer(layout_folder)
    assert first is not None
    assert second is not None
    assert second.version == first.version
    assert second.confirmed_at_s > first.confirmed_at_s


def test_a_write_leads_to_a_new_version(builder: CatalogueBuilder, layout_folder: Path, write: Write) -> None:
    """Items appear by themselves."""
    item(write, "a")
    builder.refresh(LAYOUT)
    item(write, "b")
    assert builder.refresh(LAYOUT) is not None
    assert published(layout_folder).ids.to_list() == ["a", "b"]


def test_a_store_that_was_emptied_does_not_empty_the_catalogue(
    builder: CatalogueBuilder, layout_folder: Path, write: Write, store: Path
) -> None:
    """It is being replaced; what is published stays and grows older."""
    item(write, "a")
    builder.refresh(LAYOUT)
    with sqlite3.connect(store) as connection:
        connection.execute("DELETE FROM banquet_item_profile")
    connection.close()
    with pytest.raises(StageFailed, match="holds no items"):
        builder.refresh(LAYOUT)
    assert published(layout_folder).ids.to_list() == ["a"]
    item(write, "b")
    builder.refresh(LAYOUT)
    assert published(layout_folder).ids.to_list() == ["b"]


@pytest.mark.parametrize("loss", ["current.json", "[0-9a-f]*.json", "parts/*.safetensors"])
def test_a_catalogue_that_was_cleared_away_is_built_again(
    builder: CatalogueBuilder, layout_folder: Path, write: Write, loss: str
) -> None:
    """Also when nothing was written to the store since."""
    item(write, "a")
    builder.refresh(LAYOUT)
    for file in layout_folder.glob(loss):
        file.unlink()
    assert builder.refresh(LAYOUT) is not None
    assert published(layout_folder).ids.to_list() == ["a"]


def test_a_damaged_pointer_is_replaced(builder: CatalogueBuilder, layout_folder: Path, write: Write) -> None:
    """The builder heals what readers complain about."""
    item(write, "a")
    builder.refresh(LAYOUT)
    (layout_folder / "current.json").write_text("{")
    builder.refresh(LAYOUT)
    assert published(layout_folder).ids.to_list() == ["a"]


def test_a_store_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    """And found again later."""
    items = SqliteItems(tmp_path / "none.db")
    with pytest.raises(StageFailed, match="unavailable"):
        items.changes(LAYOUT)
    with pytest.raises(StageFailed, match="unavailable"):
        scanned(items, LAYOUT)


def test_a_store_made_anew_counts_as_changed(store: Path) -> None:
    """Another file under the same name."""
    items = SqliteItems(store)
    assert items.changes(LAYOUT).others
    assert not items.changes(LAYOUT).others
    make_anew(store)
    assert items.changes(LAYOUT).others
    items.close()


def test_a_store_that_cannot_be_scanned_is_named(tmp_path: Path) -> None:
    """With those that can."""
    repo = FeatureRepo(tmp_path, tmp_path / "feature_store.yaml", "p", OtherStore("dynamodb"), None)
    with pytest.raises(BadSettings, match="sqlite and redis, not dynamodb"):
        open_items(repo)


def test_the_builder_keeps_up_and_ends_when_told(store: Path, layout_folder: Path, write: Write) -> None:
    """The loop of the builder's process: a write is in the catalogue within a second."""
    item(write, "a")
    folder = store.parent
    repo = FeatureRepo(folder, folder / "feature_store.yaml", "banquet", SqliteStore(store), folder / "registry.db")
    stop = threading.Event()
    thread = threading.Thread(target=run_builder, args=(repo, layout_folder, stop, 0.2))
    thread.start()
    try:
        until(lambda: read_pointer(layout_folder) is not None)
        began_s = time.monotonic()
        item(write, "b")
        until(lambda: len(published(layout_folder).ids) == 2)
        assert time.monotonic() - began_s < 1.0
    finally:
        stop.set()
        thread.join(5)
    assert not thread.is_alive()


def until(true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


class Reads:
    """A store that remembers which items were read by themselves."""

    def __init__(self, store: Path) -> None:
        self._items = SqliteItems(store)
        self.read_items: list[list[str]] = []
        self.scans = 0
        self.changes = self._items.changes
        self.close = self._items.close

    def scan(self, layout: Layout, table: ItemTable) -> Iterator[None]:
        self.scans += 1
        return self._items.scan(layout, table)

    def read(self, layout: Layout, table: ItemTable, item_ids: Sequence[str], views: Sequence[str]) -> None:
        self.read_items.append(list(item_ids))
        self._items.read(layout, table, item_ids, views)


class States:
    """What Feast's registry would say."""

    def __init__(self) -> None:
        self.views: frozenset[str] = frozenset()

    def materializing(self) -> frozenset[str]:
        return self.views


def test_only_what_was_pushed_through_banquet_is_read_again(
    store: Path, layout_folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a scan rests, the hook alone keeps the catalogue fresh: changed, new and vanished items."""
    for item_id in ("a", "b", "c"):
        item(write, item_id)
    reads = Reads(store)
    builder = CatalogueBuilder(reads, layout_folder)
    builder.refresh(LAYOUT)
    monkeypatch.setattr(builder, "_rested_at_s", time.monotonic() + 60)
    item(write, "b", "Another")
    item(write, "d")
    key = KeyFormat("item_id", "STRING").encode("c")
    with sqlite3.connect(store) as connection:
        connection.execute("DELETE FROM banquet_item_profile WHERE entity_key = ?", (key,))
    connection.close()
    ChangedItems(layout_folder).add(["b", "d", "c"])
    assert builder.refresh(LAYOUT) is not None
    found = published(layout_folder)
    assert found.ids.to_list() == ["a", "b", "d"]
    assert [found.columns["title"].text(row) for row in range(3)] == ["T", "Another", "T"]
    assert (reads.scans, reads.read_items) == (1, [["b", "c", "d"]])


def test_a_patched_catalogue_is_the_one_a_scan_gives(store: Path, layout_folder: Path, write: Write, tmp_path: Path) -> None:
    """To the last byte: the version says so."""
    for number in range(20):
        item(write, f"i{number}", f"T{number % 7}", ("x",) * (number % 3))
    builder = CatalogueBuilder(SqliteItems(store), layout_folder)
    builder.refresh(LAYOUT)
    builder._rested_at_s = time.monotonic() + 60
    for number in (3, 7, 21):
        item(write, f"i{number}", "new", ("y", "x"))
        write("item_activity", f"i{number}", {"interaction_count": integer(number), "rating_mean": real(0.0)})
        ChangedItems(layout_folder).add([f"i{number}"])
        assert builder.refresh(LAYOUT) is not None
    patched = read_pointer(layout_folder)
    assert patched is not None
    assert CatalogueBuilder(SqliteItems(store), tmp_path / "anew").build(LAYOUT).version == patched.version


def test_a_write_that_did_not_pass_through_banquet_is_found_by_a_scan(store: Path, layout_folder: Path, write: Write) -> None:
    """And until then nothing is confirmed: the catalogue's age says so."""
    item(write, "a")
    builder = CatalogueBuilder(SqliteItems(store), layout_folder)
    builder.refresh(LAYOUT)
    builder._rested_at_s = time.monotonic() + 60
    item(write, "b")
    before = read_pointer(layout_folder)
    time.sleep(module.CONFIRM_EVERY_S)
    assert builder.refresh(LAYOUT) is None
    assert read_pointer(layout_folder) == before
    builder._rested_at_s = 0.0
    assert builder.refresh(LAYOUT) is not None
    assert published(layout_folder).ids.to_list() == ["a", "b"]


def test_commits_that_were_told_of_cost_no_scan(
    store: Path, layout_folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of items, which are read by themselves, and of users, which are none of the catalogue's; it goes on being confirmed."""
    monkeypatch.setattr(sqlite_commits, "GRACE_S", 0.0)
    item(write, "a")
    item(write, "b")
    reads = Reads(store)
    builder = CatalogueBuilder(reads, layout_folder)
    builder.refresh(LAYOUT)
    builder.refresh(LAYOUT)
    pushed = ChangedItems(layout_folder)
    item(write, "b", "new")
    pushed.add(["b"], commits=1)
    write("user_profile", "u", {"age": integer(1)})
    pushed.add([], commits=1)
    assert builder.refresh(LAYOUT) is not None
    time.sleep(module.CONFIRM_EVERY_S)
    before_s = time.time()
    builder.refresh(LAYOUT)
    pointer = read_pointer(layout_folder)
    assert pointer is not None
    assert pointer.confirmed_at_s >= before_s
    assert (reads.scans, reads.read_items) == (1, [["b"]])


def test_what_feast_is_materializing_stays_as_it_was_until_it_is_done(store: Path, layout_folder: Path, write: Write) -> None:
    """No version holds half of a materialization; other views go on."""
    states = States()
    item(write, "a", "old")
    item(write, "b", "old")
    builder = CatalogueBuilder(SqliteItems(store), layout_folder, states)
    builder.refresh(LAYOUT)
    before = read_pointer(layout_folder)
    states.views = frozenset({"item_profile", "user_profile"})
    item(write, "a", "new")
    time.sleep(module.CONFIRM_EVERY_S)
    assert builder.refresh(LAYOUT) is None
    assert read_pointer(layout_folder) == before, "not even confirmed: its age is shown"
    write("item_activity", "b", {"interaction_count": integer(7)})
    ChangedItems(layout_folder).add(["b"])
    assert builder.refresh(LAYOUT) is not None
    found = published(layout_folder)
    assert (found.columns["title"].text(0), found.columns["interaction_count"].values.tolist()) == ("old", [0, 7])
    item(write, "b", "new")
    states.views = frozenset()
    assert builder.refresh(LAYOUT) is not None
    assert [published(layout_folder).columns["title"].text(row) for row in (0, 1)] == ["new", "new"]


def test_a_materialization_that_died_does_not_hold_the_catalogue_for_ever(
    store: Path, layout_folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry still says materializing, but nothing has been written for a long time."""
    monkeypatch.setattr(module, "MATERIALIZING_PATIENCE_S", 0.05)
    states = States()
    states.views = frozenset({"item_profile"})
    item(write, "a")
    builder = CatalogueBuilder(SqliteItems(store), layout_folder, states)
    assert builder.refresh(LAYOUT) is None
    time.sleep(0.06)
    assert builder.refresh(LAYOUT) is not None


def test_another_layout_is_read_whole_before_it_takes_over(store: Path, layout_folder: Path, write: Write) -> None:
    """`feast apply` with a feature more: the version before stays until everything is there."""
    item(write, "a")
    write("item_profile", "a", {"year": integer(99)})
    builder = CatalogueBuilder(SqliteItems(store), layout_folder)
    builder.refresh(LAYOUT)
    assert "year" not in published(layout_folder).columns
    profile = replace(LAYOUT.items[0], features={**LAYOUT.items[0].features, "year": "INT64"})
    wider = replace(LAYOUT, registry="another", items=(profile, LAYOUT.items[1]))
    assert builder.refresh(wider) is not None
    assert published(layout_folder).columns["year"].values.tolist() == [99]


def test_nulls_are_apart_from_zeros_and_from_nothing(builder: CatalogueBuilder, layout_folder: Path, write: Write) -> None:
    """0 a value, 1 a stored null, 2 nothing stored; a column without such cells says nothing."""
    item(write, "a")
    item(write, "b")
    item(write, "c")
    write("item_activity", "a", {"interaction_count": integer(0), "rating_mean": real(0.0)})
    write("item_activity", "b", {"interaction_count": b"", "rating_mean": b""})
    builder.build(LAYOUT)
    columns = published(layout_folder).columns
    assert [columns[name].absent.tolist() for name in ("interaction_count", "rating_mean")] == [[0, 1, 2]] * 2
    assert columns["title"].absent is None


def test_items_that_lie_anyhow_are_read_as_if_they_lay_in_order(
    store: Path, builder: CatalogueBuilder, layout_folder: Path, write: Write
) -> None:
    """Features written one by one, in another order, by an older definition: as Feast reads them, by key."""
    write("item_profile", "b", {"title": text("B")})
    write("item_profile", "a", {"genres": texts(["x"]), "dropped": text("?"), "title": text("A")})
    write("item_profile", "b", {"available": flag(True), "genres": texts([])})
    write("item_profile", "a", {"available": flag(False)})
    builder.build(LAYOUT)
    found = published(layout_folder)
    assert [found.columns["title"].text(row) for row in (0, 1)] == ["A", "B"]
    assert found.columns["available"].values.tolist() == [False, True]
    assert found.columns["genres"].absent is None
