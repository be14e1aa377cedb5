"""The catalogue, built from a SQLite file laid out as Feast lays it out."""

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from banquet.core.errors import BadSettings, StageFailed
from banquet.features import catalogue_builder as module
from banquet.features.builder import run_builder
from banquet.features.catalogue_builder import CatalogueBuilder
from banquet.features.item_store import open_items, scanned
from banquet.features.repo import FeatureRepo, OtherStore, SqliteStore
from banquet.features.scan_sqlite import SqliteItems
from banquet.wire.catalogue_file import CatalogueFile, read_catalogue, read_pointer
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
