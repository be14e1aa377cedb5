"""Jobs with a mask of allowed rows, against a plain reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from banquet.wire.bits import pack_bits
from tests.release_factory import make_catalogue
from tests.unit.handlers.conftest import ITEMS, NEW_ITEMS, UNAVAILABLE
from tests.unit.handlers.reference import Reference, job_of, some_queries

N = ITEMS + NEW_ITEMS
KEYS = ("history", "seen", "limit", "allowed")
masks = st.lists(st.sets(st.integers(0, N - 1)), min_size=1, max_size=5)


def with_masks(queries, allowed):
    words = np.stack([pack_bits(np.isin(np.arange(N), list(rows))) for rows in allowed])
    return {**job_of(queries), "allowed": words}


@pytest.fixture
def both(serve, catalogue):
    """The cascade, and retrieval alone."""
    return serve("cascade", catalogue), serve("retrieval", catalogue)


@given(allowed=masks, seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_best_of_what_is_allowed_are_found_and_ranked(both, catalogue, catalogue_dir, allowed, seed):
    """Each query of a job has a mask of its own; seen and unavailable items stay away though it allows them."""
    cascade, retrieval = both
    reference = Reference(catalogue_dir, catalogue, ITEMS)
    queries = some_queries(len(allowed) + 1, N, seed)[1:]
    job = with_masks(queries, allowed)
    arrays, metadata = cascade(job)
    assert "error" not in metadata
    for place, (query, rows) in enumerate(zip(queries, allowed, strict=True)):
        seen = [*query["seen"], *(set(range(N)) - rows)]
        best, scores = reference.retrieval(query["history"], seen, query["limit"])
        assert arrays["rows"][place][: len(best)].tolist() == best
        assert (arrays["rows"][place][len(best) :] == -1).all()
        np.testing.assert_allclose(arrays["scores"][place][: len(best)], scores, atol=1e-4)
        ranking = reference.ranking(query["history"], query["user_categories"], query["user_numbers"], best)
        np.testing.assert_allclose(arrays["ranking"][place][: len(best)], ranking, atol=1e-3)
    alone, _ = retrieval({name: job[name] for name in KEYS})
    np.testing.assert_array_equal(alone["rows"], arrays["rows"])


def test_no_more_are_ranked_than_may_be_found(serve, catalogue):
    """A narrow filter makes a job smaller."""
    query = {**some_queries(5, N)[4], "seen": [], "limit": 30}
    arrays, _ = serve("cascade", catalogue)(with_masks([query, query], [{7, 8, *UNAVAILABLE}, {9}]))
    assert [sorted(rows) for rows in arrays["rows"].tolist()] == [[7, 8], [-1, 9]]


def test_a_mask_is_of_rows_wherever_their_lines_lie(serve, catalogue, catalogue_dir):
    """After items have changed, lines lie in other places than rows; the mask goes by rows."""
    served = serve("retrieval", catalogue)
    newer = make_catalogue(catalogue_dir, items=ITEMS, new_items=NEW_ITEMS, unavailable=(5,), without=("rating_mean",))
    grown = make_catalogue(catalogue_dir, items=ITEMS - 1, new_items=NEW_ITEMS + 1)
    query = {**some_queries(5, N)[4], "seen": [], "limit": 30}
    job = {name: array for name, array in with_masks([query], [{3, 4, 5, 59, 60}]).items() if name in KEYS}
    served.catalogues.get(newer)
    served.catalogues._load_soon(grown).result()
    for version, found in ((newer, [3, 4, 59, 60]), (grown, [3, 4, 5, 59, 60])):
        arrays, metadata = served(job, version)
        assert "error" not in metadata
        assert sorted(row for row in arrays["rows"][0].tolist() if row >= 0) == found


@pytest.mark.parametrize("words", [0, 2, 4])
def test_a_mask_of_another_catalogue_is_refused(serve, catalogue, words):
    """Bits that say nothing of some rows, or of rows there are not, are nobody's filter."""
    job = {**job_of(some_queries(3, N)), "allowed": np.full((3, words), -1, np.int32)}
    _, metadata = serve("cascade", catalogue)(job)
    assert metadata["detail"] == f"array 'allowed' has {words} words per query; the catalogue's {N} items take 3"


def test_a_mask_that_is_no_array_of_words_is_refused(serve, catalogue):
    """It is optional, not arbitrary."""
    served, job = serve("cascade", catalogue), job_of(some_queries(3, N))
    _, metadata = served({**job, "allowed": np.ones((3, N), np.bool_)})
    assert "'allowed' is bool [3, 65]; want int32" in metadata["detail"]
    _, metadata = served({**job, "allowed": np.ones((2, 3), np.int32)})
    assert "arrays hold [2, 3] queries" in metadata["detail"]
