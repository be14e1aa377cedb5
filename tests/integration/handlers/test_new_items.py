"""An item that is written into the online store is recommended without a new release."""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import SimpleNamespace

import numpy as np
import pytest

from banquet.features.project.layout import LAYOUT_FILE
from banquet.wire.catalogue_file import read_catalogue, read_pointer
from banquet.wire.changed_items import ChangedItems
from banquet.wire.tensors import pack, unpack
from bench.features.big_store import BigSqlite, activity, big_store, text, texts
from bench.features.item_push import following
from bench.swap_store import fill, layout_of
from handlers.retrieval import RetrievalHandler
from tests.release_factory import make_release, make_schema

ITEMS = 60
SCHEMA = make_schema(ITEMS)
BAR_S = 2.0
PATIENCE_S = 30.0
PROFILE = {"available": b"\x38\x01", "title": text("The new one"), "colour": text("red"), "genres": texts(["drama"])}


@pytest.fixture(params=["redis", "sqlite"])
def store(request, tmp_path):
    """A store of its own with items in it, and how somebody pushes one into it: anyone on Redis, through Banquet on SQLite."""
    work = tmp_path / "repo"
    work.mkdir()
    layout, catalogue = layout_of(SCHEMA), tmp_path / "catalogue"
    with ExitStack() as stack:
        big = stack.enter_context(big_store("redis", work)) if request.param == "redis" else BigSqlite(work, layout)
        fill(big, layout, SCHEMA, ITEMS, catalogue)
        assert (catalogue / LAYOUT_FILE).is_file()

        def push(item_id):
            big.write("item_profile", iter([(item_id, PROFILE)]))
            big.write("item_activity", iter([(item_id, activity(7))]))
            if request.param == "sqlite":
                ChangedItems(catalogue).add([item_id], commits=2)

        yield big, catalogue, push


@pytest.fixture
def retrieval(store, tmp_path, monkeypatch):
    """A worker's handler that follows the catalogue of a builder process."""
    big, catalogue, _ = store
    (tmp_path / "release").symlink_to(make_release(tmp_path / "releases", items=ITEMS))
    monkeypatch.setenv("BANQUET_CATALOGUE_DIR", str(catalogue))
    with following(big.repo, catalogue):
        handler = RetrievalHandler()
        handler.initialize(SimpleNamespace(system_properties={"model_dir": str(tmp_path)}))
        yield handler
        handler._worker.catalogues.stop()


def recommended(handler, catalogue):
    """The ids of what a user who liked an item gets, of the newest version a worker has."""
    version = read_pointer(catalogue).version
    nothing, everything = np.empty((1, 0), np.int32), np.array([[ITEMS * 2]], np.int32)
    arrays = {"history": np.zeros((1, 1), np.int32), "seen": nothing, "limit": everything}
    answer, about = unpack(handler.handle([{"job": bytearray(pack(arrays, {"catalogue": version}))}], None)[0])
    if about.get("error") == "stale_catalogue":
        return []
    assert "error" not in about
    return read_catalogue(catalogue, version).ids.take(answer["rows"][0][answer["rows"][0] >= 0])


def test_a_pushed_item_can_be_found_within_two_seconds(store, retrieval):
    """The item side of the model gives it a vector as soon as the catalogue has it; no release is needed for that."""
    _, catalogue, push = store
    assert len(recommended(retrieval, catalogue)) == ITEMS
    took_s = []
    for number in range(3):
        push(f"new{number}")
        began_s = time.monotonic()
        while f"new{number}" not in recommended(retrieval, catalogue):
            assert time.monotonic() - began_s < PATIENCE_S
            time.sleep(0.02)
        took_s.append(time.monotonic() - began_s)
    assert min(took_s) < BAR_S, took_s
