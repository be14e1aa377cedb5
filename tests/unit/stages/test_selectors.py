"""Selectors pick and order."""

import numpy as np

from banquet.core.candidates import Candidates
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
    assert TopK().select(make_query(limit=2), ranked(1, 3, 2)).tolist() == [1, 2]


def test_mmr_prefers_an_unlike_item_to_a_twin() -> None:
    """The best comes first, then what adds something."""
    assert Mmr(VECTORS, diversity=0.5).select(make_query(limit=3), ranked(3, 2, 1)).tolist() == [0, 2, 1]


def test_mmr_without_diversity_is_top_k() -> None:
    """At 0 only relevance counts."""
    assert Mmr(VECTORS, diversity=0.0).select(make_query(limit=3), ranked(3, 2, 1)).tolist() == [0, 1, 2]
