"""Sources find candidates, or say why not."""

from dataclasses import replace

import numpy as np
import pytest

from banquet.core.catalogue import Catalogue
from banquet.core.errors import StageFailed
from banquet.core.query import AttributeFilter, UserFeatures
from banquet.stages import vectors as item_vectors
from banquet.stages.filter_bits import FilterBits
from banquet.stages.sources import popular, similar
from banquet.stages.sources.cascade import Cascade
from banquet.stages.sources.given import Given
from banquet.stages.sources.popular import Popular
from banquet.stages.sources.retrieval import Retrieval
from banquet.stages.sources.similar import Similar
from banquet.stages.vectors import ItemVectors
from banquet.wire.schema import Feature, FeatureSchema
from tests.fakes import FakeModels, make_catalogue, make_query

KNOWN = UserFeatures("u1", {"age": 30.0}, ("i2", "gone", "i5"), found=True)
SCHEMA = FeatureSchema(
    (Feature("age", "user_profile", "number"), Feature("sex", "user_profile", "category", ("F", "M"))), (), 50, ()
)


async def test_popular_gives_the_most_interacted_with_available_items() -> None:
    """By the counter, withdrawn items left out."""
    catalogue = make_catalogue()
    catalogue.file.columns["interaction_count"].values[9] = 99
    found = await Popular(limit=2).find(make_query(catalogue))
    assert found.candidates.rows.tolist() == [0, 1]
    assert found.notes == ()


async def test_popular_without_counts_still_answers_and_says_so() -> None:
    """A catalogue without the counter gives its first items."""
    found = await Popular(limit=2).find(make_query(make_catalogue(columns={})))
    assert found.candidates.rows.tolist() == [0, 1]
    assert found.notes == ("missing_column",)


async def test_retrieval_sends_the_history_oldest_first_and_everything_seen() -> None:
    """Items that left the catalogue are left out; exclusions and the page's item are masked too."""
    models = FakeModels()
    query = make_query(exclude_item_ids=("i7",), item_id="i8").with_user(KNOWN)
    found = await Retrieval(models, limit=4, history_length=50, bits=FilterBits()).find(query)
    arrays = models.jobs[0].arrays
    assert arrays["history"].tolist() == [5, 2]
    assert sorted(arrays["seen"].tolist()) == [2, 5, 7, 8]
    assert found.candidates.rows.tolist() == [0, 1, 2, 3]
    assert found.candidates.user_vector is not None


async def test_an_item_that_a_history_repeats_is_sent_once() -> None:
    """Where it was last, as in training: somebody else's job may write every purchase."""
    models = FakeModels()
    query = make_query().with_user(replace(KNOWN, history=("i5", "i2", "i5", "i2", "i1")))
    await Retrieval(models, limit=4, history_length=2, bits=FilterBits()).find(query)
    assert models.jobs[0].arrays["history"].tolist() == [2, 5]


@pytest.mark.parametrize("kind", [lambda m: Retrieval(m, 4, 50, FilterBits()), lambda m: Cascade(m, SCHEMA, 4, FilterBits())])
async def test_an_empty_history_is_a_reason_not_a_model_call(kind) -> None:
    """Without history there is nothing to encode."""
    models = FakeModels()
    with pytest.raises(StageFailed, match="empty_history"):
        await kind(models).find(make_query())
    assert models.jobs == []


async def test_cascade_brings_ranking_scores_and_reports_defaults() -> None:
    """One call gives both scores; a missing user feature is named as a degradation, not hidden."""
    models = FakeModels()
    found = await Cascade(models, SCHEMA, limit=3, bits=FilterBits()).find(make_query().with_user(KNOWN))
    assert found.candidates.ranking.tolist() == [0, 1, 2]
    assert models.jobs[0].arrays["user_categories"].tolist() == [0]
    assert models.jobs[0].arrays["user_numbers"].tolist() == [30.0]
    assert found.notes == ("defaults_used",)


async def test_cascade_keeps_retrievals_order_where_ranking_is_left_out() -> None:
    """Of that question alone."""
    filtered = make_query(filters=(AttributeFilter("genres", ("Drama",)),)).with_user(KNOWN)
    cascade = Cascade(FakeModels(), SCHEMA, limit=3, bits=FilterBits(), left_out=("filtered",))
    assert (await cascade.find(filtered)).candidates.ranking.tolist() == [0, -1, -2]
    assert (await cascade.find(make_query().with_user(KNOWN))).candidates.ranking.tolist() == [0, 1, 2]


async def test_similar_finds_the_nearest_available_items() -> None:
    """By cosine, without the item itself and without withdrawn ones."""
    angles = np.linspace(0, 1, 10)
    vectors = ItemVectors("rel", [f"i{k}" for k in range(10)], np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32))
    found = await Similar(vectors, limit=2).find(make_query(item_id="i8"))
    assert found.candidates.rows.tolist() == [7, 6]


@pytest.mark.parametrize(("item_id", "reason"), [("", "no_anchor_item"), ("nope", "unknown_item"), ("i9", "no_item_vector")])
async def test_similar_says_why_it_finds_nothing(item_id: str, reason: str) -> None:
    """No anchor, an unknown one, or one the release has no vector for."""
    vectors = ItemVectors("rel", ["i0", "gone"], np.ones((2, 2), np.float32))
    with pytest.raises(StageFailed) as caught:
        await Similar(vectors, limit=2).find(make_query(item_id=item_id))
    assert caught.value.reason == reason


async def test_given_reports_items_the_catalogue_lacks() -> None:
    """The caller's order stays; unknown ids are left out and reported."""
    found = await Given().find(make_query(item_ids=("i3", "nope", "i1")))
    assert found.candidates.rows.tolist() == [3, 1]
    assert found.notes == ("unknown_items",)


async def test_popular_never_runs_dry_while_the_catalogue_has_something() -> None:
    """Exclusions and filters come before the cut: the few allowed items are found however unpopular they are."""
    excluded = tuple(f"i{k}" for k in range(6))
    wanted = (AttributeFilter("genres", ("Comedy",)),)
    found = await Popular(limit=2).find(make_query(exclude_item_ids=excluded, filters=wanted))
    assert found.candidates.rows.tolist() == [6, 8]


@pytest.mark.parametrize("counts", [[5, 1, 9, 1, 7, 1, 1, 3, 1, 8], [0] * 10])
@pytest.mark.parametrize("first", [1, 3, 9, 10])
async def test_popular_is_the_same_however_many_are_ordered_beforehand(monkeypatch, counts, first) -> None:
    """The first few are the first few of all, equal counts included, and the rest is there when they do not suffice."""
    catalogue = make_catalogue()
    catalogue.file.columns["interaction_count"].values[:] = counts
    query = make_query(catalogue, exclude_item_ids=("i2",))
    expected = (await Popular(limit=8).find(query)).candidates
    monkeypatch.setattr(popular, "FIRST", first)
    for limit in range(1, 9):
        found = (await Popular(limit).find(make_query(Catalogue(catalogue.file, 0.0), exclude_item_ids=("i2",)))).candidates
        assert found.rows.tolist() == expected.rows[:limit].tolist()
        assert found.scores.tolist() == expected.scores[:limit].tolist()


async def test_similar_looks_past_excluded_items() -> None:
    """The nearest allowed items, not what is left of the nearest."""
    angles = np.linspace(0, 1, 10)
    vectors = ItemVectors("rel", [f"i{k}" for k in range(10)], np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32))
    found = await Similar(vectors, limit=2).find(make_query(item_id="i8", exclude_item_ids=("i7", "i6")))
    assert found.candidates.rows.tolist() == [5, 4]


@pytest.mark.parametrize("few", [0, 100])
async def test_similar_finds_the_same_however_many_neighbours_are_remembered(monkeypatch, few) -> None:
    """What the filters leave of the remembered ones, and of all when that is too little; in a thread or not."""
    monkeypatch.setattr(similar, "FEW", few)
    monkeypatch.setattr(item_vectors, "NEIGHBOURS", 3)
    angles = np.linspace(0, 1, 10)
    vectors = ItemVectors("rel", [f"i{k}" for k in range(10)], np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32))
    query = make_query(item_id="i8", exclude_item_ids=("i6",))
    for _ in range(2):
        assert (await Similar(vectors, limit=2).find(query)).candidates.rows.tolist() == [7, 5]
        assert (await Similar(vectors, limit=4).find(query)).candidates.rows.tolist() == [7, 5, 4, 3]
