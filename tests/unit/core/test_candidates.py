"""Candidates stay in step, whatever is taken, joined or ordered."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from banquet.core.candidates import Candidates, joined

ROWS = st.lists(st.integers(0, 50), max_size=8).map(lambda rows: np.array(rows, np.int32))


def some(source: str, rows: np.ndarray) -> Candidates:
    return Candidates.of(source, rows, rows.astype(np.float32))


@given(st.lists(ROWS, max_size=4))
def test_joining_keeps_every_item_with_its_source_and_score(parts: list[np.ndarray]) -> None:
    """The join is the concatenation, and each item still knows where it came from."""
    whole = joined([some(f"s{k}", rows) for k, rows in enumerate(parts)])
    expected = [(f"s{k}", row) for k, rows in enumerate(parts) for row in rows.tolist()]
    assert [(whole.source_of(k), int(whole.rows[k])) for k in range(len(whole))] == expected
    assert whole.scores.tolist() == [float(row) for _, row in expected]


def test_order_is_by_ranking_then_as_they_came() -> None:
    """Unranked items follow the ranked ones in their own order."""
    candidates = some("s", np.array([0, 1, 2, 3], np.int32)).ranked(np.array([np.nan, 1, 2, np.nan], np.float32))
    assert candidates.in_order().tolist() == [2, 1, 0, 3]


def test_the_first_user_vector_stays() -> None:
    """Joining keeps the retrieval model's picture of the user, wherever it stands."""
    vector = np.ones(2, np.float32)
    rows = np.array([1], np.int32)
    with_vector = Candidates.of("retrieval", rows, rows.astype(np.float32), user_vector=vector)
    assert joined([some("similar", rows), with_vector]).user_vector is vector


@given(st.lists(st.sampled_from([np.nan, -1.0, -0.0, 0.0, 0.5, np.inf]), max_size=12), st.integers(0, 14))
def test_the_first_few_are_those_of_the_whole_order(ranking: list[float], most: int) -> None:
    """However many are asked for, whatever is equal or not ranked."""
    rows = np.arange(len(ranking), dtype=np.int32)
    candidates = some("s", rows).ranked(np.array(ranking, np.float32))
    assert candidates.in_order(most).tolist() == candidates.in_order().tolist()[:most]
