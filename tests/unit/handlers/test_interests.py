"""A history encoder that gives several vectors of a user."""

from __future__ import annotations

import numpy as np
import pytest

from tests.release_factory import make_release
from tests.unit.handlers.conftest import ITEMS, NEW_ITEMS
from tests.unit.handlers.reference import Reference, job_of, some_queries, stacked

N = ITEMS + NEW_ITEMS
INTERESTS = 3


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("interests")
    (folder / "release").symlink_to(make_release(folder / "releases", items=ITEMS, interests=INTERESTS))
    return folder


@pytest.fixture
def reference(catalogue, catalogue_dir):
    return Reference(catalogue_dir, catalogue, ITEMS, INTERESTS)


def test_an_item_counts_for_the_interest_it_suits_best(serve, catalogue, model_dir, reference):
    """Retrieval's scores are the largest product with one of the vectors, ranking's come from them, on whatever path."""
    queries = some_queries(12, N)
    cascade, metadata = serve("cascade", catalogue, model_dir)(job_of(queries))
    assert "error" not in metadata
    retrieval, _ = serve("retrieval", catalogue, model_dir)(
        {name: array for name, array in job_of(queries).items() if name in ("history", "seen", "limit")}
    )
    np.testing.assert_array_equal(retrieval["rows"], cascade["rows"])
    np.testing.assert_array_equal(retrieval["user_vector"], cascade["user_vector"])
    for place, query in enumerate(queries):
        rows, scores = reference.retrieval(query["history"], query["seen"], query["limit"])
        assert cascade["rows"][place][: len(rows)].tolist() == rows
        np.testing.assert_allclose(cascade["scores"][place][: len(rows)], scores, atol=1e-4)
        np.testing.assert_allclose(cascade["user_vector"][place], reference.user_vector(query["history"]), atol=1e-4)
        ranking = reference.ranking(query["history"], query["user_categories"], query["user_numbers"], rows)
        np.testing.assert_allclose(cascade["ranking"][place][: len(rows)], ranking, atol=1e-3)


def test_ranking_takes_the_vectors_that_retrieval_gave(serve, catalogue, model_dir, reference):
    """They travel as one array per user, and ranked alone candidates get the scores that the cascade gives them."""
    queries = [query for query in some_queries(12, N) if query["history"]]
    job = {name: array for name, array in job_of(queries).items() if name not in ("seen", "limit")}
    vectors = np.stack([reference.user_vector(query["history"]).numpy() for query in queries])
    assert vectors.shape[1] == INTERESTS * reference.vectors.shape[1]
    rows = stacked([query["rows"] for query in queries])
    arrays, metadata = serve("ranking", catalogue, model_dir)({**job, "user_vector": vectors, "rows": rows})
    assert "error" not in metadata
    for place, query in enumerate(queries):
        ranking = reference.ranking(query["history"], query["user_categories"], query["user_numbers"], query["rows"])
        np.testing.assert_allclose(arrays["scores"][place][: len(ranking)], ranking, atol=1e-3)
