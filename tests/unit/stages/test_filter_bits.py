"""The rows that filters allow: right, made once, and no more of them kept than there is room for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from banquet.core.catalogue import Catalogue
from banquet.core.query import AttributeFilter, UserFeatures
from banquet.stages import filter_bits
from banquet.stages.filter_bits import FilterBits
from banquet.stages.sources.cascade import Cascade
from banquet.stages.sources.retrieval import Retrieval
from banquet.wire.bits import unpack_bits
from banquet.wire.catalogue_file import Column, Strings
from banquet.wire.schema import FeatureSchema
from tests.fakes import FakeModels, make_catalogue, make_query

DRAMA = AttributeFilter("genres", ("Drama",))
SINCE = AttributeFilter("year", ("1995", "1997", "1999"))
PARTS = {"ids": "a", "column:genres": "b", "column:year": "c"}

cells = st.lists(st.tuples(st.lists(st.integers(0, 2), max_size=3), st.integers(-1, 2), st.booleans()), min_size=1, max_size=40)


def stored(version: str = "v1", **parts: str) -> Catalogue:
    """A catalogue as a file has it, whose columns have digests."""
    return Catalogue(replace(make_catalogue(40).file, version=version, parts=PARTS | parts), 0.0)


async def rows_of(bits: FilterBits, query) -> list[int]:
    words = await bits.of(query)
    return np.flatnonzero(unpack_bits(words[None], len(query.catalogue))[0]).tolist()


@given(cells=cells, wanted=st.sets(st.sampled_from(["x", "y", "z", "never"])))
def test_all_items_at_once_are_filtered_as_some_are(cells, wanted):
    """One value or several, missing or null: the mask of the whole catalogue is that of its rows."""
    lists, codes, absent = zip(*cells, strict=True)
    words, rows = Strings.of("xyz"), np.arange(len(cells), dtype=np.int32)
    offsets = np.cumsum([0, *map(len, lists)]).astype(np.int64)
    columns = {
        "many": Column("categories", "v", np.array([*chain(*lists)], np.int32), words, offsets),
        "one": Column("category", "v", np.array(codes, np.int32), words, absent=np.array(absent, np.uint8)),
    }
    catalogue = make_catalogue(len(cells), columns=columns)
    for name in columns:
        assert catalogue.holds(name, [*wanted]).tolist() == catalogue.holds(name, [*wanted], rows).tolist()


async def test_bits_say_which_rows_meet_every_filter():
    """And there are none without filters."""
    bits, catalogue = FilterBits(), make_catalogue(40)
    assert await rows_of(bits, make_query(catalogue, filters=(DRAMA, SINCE))) == [5, 7, 9]
    assert await rows_of(bits, make_query(catalogue, filters=(AttributeFilter("genres", ("Noir",)),))) == []
    assert await bits.of(make_query(catalogue)) is None


async def test_the_same_filters_have_the_same_bits_for_as_long_as_their_columns_do():
    """In whatever order they come; a new version makes new ones only when something they look at has changed."""
    bits = FilterBits()
    first = await bits.of(make_query(stored(), filters=(DRAMA, SINCE)))
    assert await bits.of(make_query(stored(), filters=(replace(SINCE, values=SINCE.values[::-1]), DRAMA))) is first
    assert await bits.of(make_query(stored("v2", **{"column:count": "e"}), filters=(DRAMA, SINCE))) is first
    for changed in ({"ids": "e"}, {"column:year": "e"}):
        assert await bits.of(make_query(stored("v2", **changed), filters=(DRAMA, SINCE))) is not first
    assert await bits.of(make_query(stored(), filters=(DRAMA,))) is not first


async def test_what_was_used_last_is_kept(monkeypatch):
    """Callers cannot fill the memory with filters."""
    monkeypatch.setattr(filter_bits, "KEPT", 2)
    bits = FilterBits()
    queries = [make_query(stored(), filters=(AttributeFilter("year", (year,)),)) for year in ("1990", "1991", "1992")]
    first, second = [await bits.of(query) for query in queries[:2]]
    assert await bits.of(queries[0]) is first
    await bits.of(queries[2])
    assert await bits.of(queries[0]) is first
    assert await bits.of(queries[1]) is not second
    assert len(bits._made) == 2


async def test_of_many_items_they_are_made_once_in_a_thread(monkeypatch):
    """Queries of the same moment wait for the same bits, and one that gives up takes them from nobody."""
    monkeypatch.setattr(filter_bits, "FEW", 0)
    bits, query = FilterBits(), make_query(stored(), filters=(DRAMA,))
    gone, *waiting = [asyncio.create_task(bits.of(query)) for _ in range(4)]
    await asyncio.sleep(0)
    gone.cancel()
    words = await asyncio.gather(*waiting)
    assert all(its is words[0] for its in words)
    assert await bits.of(query) is words[0]


async def test_a_filter_that_nobody_can_decide_is_left_to_the_filter_stage(monkeypatch):
    """Which keeps everything and says why; and so are filters of more items than a job can tell of."""
    assert await FilterBits().of(make_query(make_catalogue(columns={}), filters=(DRAMA,))) is None
    monkeypatch.setattr(filter_bits, "MOST_WORDS", 1)
    assert await FilterBits().of(make_query(make_catalogue(40), filters=(DRAMA,))) is None


@pytest.mark.parametrize(
    "source", [lambda m: Retrieval(m, 4, 50, FilterBits()), lambda m: Cascade(m, FeatureSchema((), (), 50, ()), 4, FilterBits())]
)
async def test_sources_send_them_with_filters_and_nothing_without(source):
    """A query without filters is the job it always was."""
    models = FakeModels()
    user = UserFeatures("u1", {}, ("i2",), found=True)
    for filters in ((), (DRAMA,)):
        await source(models).find(make_query(filters=filters).with_user(user))
    assert "allowed" not in models.jobs[0].arrays
    assert models.jobs[1].arrays["allowed"].tolist() == [0b1010101010]
