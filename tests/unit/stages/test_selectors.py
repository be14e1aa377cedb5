"""Selectors pick and order."""

import numpy as np
import pytest

from banquet.core.candidates import Candidates
from banquet.stages.selectors.explore import Explore
from banquet.stages.selectors.mmr import Mmr
from banquet.stages.selectors.top_k import TopK
from banquet.stages.vectors import ItemVectors
from tests.fakes import make_query

# i0 and i1 are twins; i2 is unlike them.
VECTORS = ItemVectors("rel", ["i0", "i1", "i2"], np.array([[1, 0], [1, 0.01], [0, 1]], np.float32))


def ranked(*scores: float) -> Candidates:
    rows = np.arange(len(scores), dtype=np.int32)
    return Candidates.of("s", rows, np.zeros(len(rows), np.float32), ranking=np.array(scores, np.float32))


def test_top_k_takes_the_best() -> None:
    """By ranking score, at most `limit`."""
    assert TopK().select(make_query(limit=2), ranked(1, 3, 2)).picks.tolist() == [1, 2]


def test_mmr_prefers_an_unlike_item_to_a_twin() -> None:
    """The best comes first, then what adds something."""
    assert Mmr(VECTORS, diversity=0.5).select(make_query(limit=3), ranked(3, 2, 1)).picks.tolist() == [0, 2, 1]


def test_mmr_without_diversity_is_top_k() -> None:
    """At 0 only relevance counts."""
    assert Mmr(VECTORS, diversity=0.0).select(make_query(limit=3), ranked(3, 2, 1)).picks.tolist() == [0, 1, 2]


def test_explore_keeps_the_order_and_knows_every_chance() -> None:
    """Over many answers each candidate is shown as often as its chance says; nothing beyond the pool ever is."""
    candidates, places, rounds = ranked(*range(12, 0, -1)), 4, 4_000
    explore = Explore(TopK(), share=0.3, pool=9, rng=np.random.default_rng(5))
    shown = np.zeros(12)
    for _ in range(rounds):
        selection = explore.select(make_query(limit=places), candidates)
        assert len(set(selection.picks.tolist())) == places
        shown[selection.picks] += 1
    np.testing.assert_allclose(shown / rounds, selection.chances, atol=0.03)
    assert selection.chances.sum() == pytest.approx(places)
    assert (selection.chances[9:] == 0).all()


def test_explore_without_more_candidates_than_places_shows_them_all() -> None:
    """Then nothing is left to chance but the order."""
    selection = Explore(TopK(), share=0.5, pool=100).select(make_query(limit=5), ranked(1, 3, 2))
    assert sorted(selection.picks.tolist()) == [0, 1, 2]
    np.testing.assert_allclose(selection.chances, 1.0, atol=1e-6)


def test_explore_without_candidates_is_empty() -> None:
    """No pick, no chance."""
    assert Explore(TopK(), share=0.5, pool=100).select(make_query(), ranked()).picks.tolist() == []
