"""A new version of the catalogue beside the models, made from the one before."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from banquet.wire.bits import pack_bits
from banquet.wire.catalogue_file import CatalogueReader, Column, Strings, write_catalogue
from banquet.wire.schema import SchemaMismatch
from handlers import tables
from handlers.items import ItemSide
from tests.release_factory import make_schema

ITEMS = 40
SCHEMA = make_schema(ITEMS)


class Sums:
    """Stands in for a graph: each item's inputs, summed with weights; counts the items it saw."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.seen = 0

    def run(self, feeds):
        self.seen += len(feeds["index"])
        parts = [feeds["index"][:, None], feeds["categories"], feeds["lists"], feeds["numbers"]]
        table = torch.cat([part.to(torch.float32) for part in parts], 1)
        return {"out": table * torch.arange(1, table.shape[1] + 1)}


def columns(rng, n):
    lengths = rng.integers(0, 3, n)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return {
        "available": Column("number", "item_profile", np.ones(n, np.bool_)),
        "title": Column("category", "item_profile", np.arange(n, dtype=np.int32), Strings.of(f"t{row}" for row in range(n))),
        "colour": Column(
            "category", "item_profile", rng.integers(-1, 3, n).astype(np.int32), Strings.of(["blue", "green", "red"])
        ),
        "genres": Column(
            "categories",
            "item_profile",
            rng.integers(0, 2, offsets[-1]).astype(np.int32),
            Strings.of(["action", "drama"]),
            offsets,
        ),
        "year": Column("number", "item_profile", np.where(rng.random(n) < 0.2, np.nan, 1990.0 + np.arange(n))),
        "interaction_count": Column("number", "item_activity", rng.integers(0, 9, n).astype(np.int64)),
    }


class Folder:
    def __init__(self, folder) -> None:
        self.folder = folder
        self.reader = CatalogueReader(folder)

    def publish(self, ids, columns):
        version = write_catalogue(self.folder, ids, columns, statuses={}, event_times_us={}, confirmed_at_s=0.0)
        return self.reader.read(version)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


IDS = [f"i{number:02d}" for number in range(ITEMS)]


def encode(catalogue, before=None):
    """The items, and how many the graph saw."""
    graph = Sums()
    items = ItemSide(SCHEMA, {"item_encoder": graph, "ranker_items": Sums()}).encode(catalogue, before)
    return items, graph.seen


def lines(items):
    """What models see of each row, and of row -1."""
    slots = items.slots_of(np.append(np.arange(len(items)), -1).astype(np.int32))
    return items.vectors[slots], items.features[slots]


def found(items):
    """The rows that can be found, in any order."""
    slots = set(range(len(items.vectors))) - set(items.hidden.tolist())
    return sorted(items.rows_of(torch.tensor(sorted(slots), dtype=torch.int64)).tolist())


def check(items, catalogue):
    """Equal to encoding everything anew."""
    anew, _ = encode(catalogue)
    for got, expected in zip(lines(items), lines(anew), strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=0)
    assert found(items) == found(anew)
    assert items.rows_of(items.slots).tolist() == [*range(len(items)), -1]


def changed(column, row, value):
    values = column.values.copy()
    values[row] = value
    return Column(column.kind, column.view, values, column.vocabulary, column.offsets)


@pytest.mark.parametrize(
    ("name", "row", "value"), [("year", 3, 1.0), ("year", 5, np.nan), ("colour", 7, 2), ("interaction_count", 0, 99)]
)
def test_only_what_changed_is_encoded(folder, name, row, value):
    """One item's new value costs one item."""
    its = columns(np.random.default_rng(0), ITEMS) | {"year": Column("number", "item_profile", np.full(ITEMS, 1990.0))}
    its["colour"] = Column("category", "item_profile", np.zeros(ITEMS, np.int32), its["colour"].vocabulary)
    before, _ = encode(folder.publish(IDS, its))
    after = folder.publish(IDS, its | {name: changed(its[name], row, value)})
    items, seen = encode(after, before)
    assert (seen, items.encoded) == (1, 1)
    check(items, after)


def test_what_no_model_sees_costs_nothing(folder):
    """A title, or an item that goes out of stock: the arrays are the very same."""
    its = columns(np.random.default_rng(0), ITEMS)
    before, _ = encode(folder.publish(IDS, its))
    after = folder.publish(IDS, its | {"available": changed(its["available"], 4, value=False)})
    items, seen = encode(after, before)
    assert seen == 0
    assert items.vectors is before.vectors
    assert found(items) == [row for row in range(ITEMS) if row != 4]


def test_words_of_availability_hide_items(folder):
    """A text column, with a missing one and one that says neither: as the gateway reads it, in a new version as well."""
    its = columns(np.random.default_rng(0), ITEMS)
    before, _ = encode(folder.publish(IDS, its))
    codes = np.zeros(ITEMS, np.int32)
    codes[[3, 5, 7]] = 1, 2, -1
    words = Column("category", "item_profile", codes, Strings.of(["in stock", "out of stock", "perhaps"]))
    after = folder.publish(IDS, its | {"available": words})
    for items in (encode(after)[0], encode(after, before)[0]):
        assert found(items) == [row for row in range(ITEMS) if row != 3]
        allowed = items.slots_allowed(pack_bits(np.ones(ITEMS, np.bool_))[None])
        assert sorted(items.rows_of(allowed[0])) == found(items)


def test_versions_share_their_lines(folder):
    """A new version writes what changed behind the lines of the one before, which goes on as it was."""
    its = columns(np.random.default_rng(0), ITEMS)
    first = folder.publish(IDS, its)
    before, _ = encode(first)
    after = folder.publish(IDS, its | {"year": changed(its["year"], 3, 1.0)})
    items, _ = encode(after, before)
    assert items.vectors.data_ptr() == before.vectors.data_ptr()
    assert len(items.vectors) == len(before.vectors) + 1
    check(items, after)
    check(before, first)


def test_full_tables_are_laid_out_anew(folder, monkeypatch):
    """When there is no room behind the lines, those of use move to new tables, without going through the models again."""
    monkeypatch.setattr(tables, "LEAST_ROOM", 3)
    its = columns(np.random.default_rng(0), ITEMS)
    items, _ = encode(folder.publish(IDS, its))
    whole = []
    for number in range(9):
        its = its | {"interaction_count": changed(its["interaction_count"], number, 100 + number)}
        after = folder.publish(IDS, its)
        items, seen = encode(after, items)
        assert seen == 1
        check(items, after)
        whole.append(len(items.vectors) == 1 + ITEMS)
    assert whole == [False, False, False, False, True, False, False, False, False]


def test_items_come_and_go(folder):
    """Those that stay keep what they had, wherever they are now."""
    rng = np.random.default_rng(1)
    its = columns(rng, ITEMS)
    before, _ = encode(folder.publish(IDS, its))
    kept = np.delete(np.arange(ITEMS), [0, 11, 12])
    ids = ["a new one", *[IDS[row] for row in kept]]
    rows = np.append(5, kept)
    after = folder.publish(ids, {name: column.take(rows) for name, column in its.items()})
    items, seen = encode(after, before)
    assert seen == 1
    check(items, after)


@pytest.mark.parametrize("seed", range(12))
def test_any_change_is_as_if_encoded_anew(folder, seed):
    """Random versions, also with other vocabularies."""
    rng = np.random.default_rng(seed)
    its = columns(rng, ITEMS)
    before, _ = encode(folder.publish(IDS, its))
    others = columns(rng, ITEMS)
    few = rng.random(ITEMS) < 0.2
    mixed = {}
    for name, column in its.items():
        both = [others[name] if other else column for other in few]
        if column.offsets is None:
            mixed[name] = Column(
                column.kind,
                column.view,
                np.array([each.values[row] for row, each in enumerate(both)], column.values.dtype),
                column.vocabulary,
            )
        else:
            lists = [each.values[each.offsets[row] : each.offsets[row + 1]] for row, each in enumerate(both)]
            offsets = np.cumsum([0] + [len(each) for each in lists]).astype(np.int64)
            mixed[name] = Column(column.kind, column.view, np.concatenate(lists).astype(np.int32), column.vocabulary, offsets)
    colour = mixed["colour"]
    mixed["colour"] = Column(
        "category",
        colour.view,
        np.where(colour.values < 0, -1, colour.values + 1).astype(np.int32),
        Strings.of(["a", "blue", "green", "red"]),
    )
    after = folder.publish(IDS, mixed)
    items, seen = encode(after, before)
    assert seen < ITEMS
    check(items, after)


def test_a_version_that_lacks_a_feature_is_refused_by_name(folder):
    """Also when made from one before."""
    its = columns(np.random.default_rng(0), ITEMS)
    before, _ = encode(folder.publish(IDS, its))
    del its["year"]
    with pytest.raises(SchemaMismatch, match="'year'"):
        encode(folder.publish(IDS, its), before)
