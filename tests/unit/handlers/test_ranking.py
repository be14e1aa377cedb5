"""Ranking and the cascade against a plain reference."""

from __future__ import annotations

import numpy as np
import pytest

from handlers import ranker
from tests.unit.handlers.conftest import ITEMS, NEW_ITEMS
from tests.unit.handlers.reference import Reference, job_of, some_queries, stacked

N = ITEMS + NEW_ITEMS
USER = ("history", "user_categories", "user_numbers")


def ranking_job(queries, user_vectors, length=8):
    arrays = {key: array for key, array in job_of(queries, length).items() if key in USER}
    return {**arrays, "rows": stacked([query["rows"] for query in queries]), "user_vector": np.asarray(user_vectors, np.float32)}


@pytest.mark.parametrize("backend", ["onnxruntime", "eager"])
def test_candidates_are_scored_as_the_model_would(serve, catalogue, catalogue_dir, backend):
    """Scores are the torch module's, in the order of the rows, NaN where a row is padding."""
    reference = Reference(catalogue_dir, catalogue, ITEMS)
    queries = some_queries(12, N)
    vectors = [reference.user_vector(query["history"]).numpy() for query in queries]
    arrays, metadata = serve("ranking", catalogue, BANQUET_BACKEND=backend)(ranking_job(queries, vectors))
    assert metadata["backend"] == backend
    for place, query in enumerate(queries):
        scores = reference.ranking(query["history"], query["user_categories"], query["user_numbers"], query["rows"])
        np.testing.assert_allclose(arrays["scores"][place][: len(scores)], scores, atol=1e-4)
        assert np.isnan(arrays["scores"][place][len(scores) :]).all()


@pytest.mark.parametrize("backend", ["onnxruntime", "eager"])
def test_candidates_from_anywhere_are_scored_with_the_users_vector(serve, catalogue, catalogue_dir, backend):
    """A caller's own list needs no retrieval before it: the history is encoded on the way, and both scores come back."""
    reference = Reference(catalogue_dir, catalogue, ITEMS)
    queries = some_queries(12, N)
    job = ranking_job(queries, np.zeros((12, 16)))
    del job["user_vector"]
    arrays, metadata = serve("ranking", catalogue, BANQUET_BACKEND=backend)(job)
    assert "error" not in metadata
    for place, query in enumerate(queries):
        scores = reference.ranking(query["history"], query["user_categories"], query["user_numbers"], query["rows"])
        np.testing.assert_allclose(arrays["scores"][place][: len(scores)], scores, atol=1e-4)
        retrieval = reference.affinity(query["history"])[query["rows"]]
        np.testing.assert_allclose(arrays["retrieval"][place][: len(scores)], retrieval, atol=1e-4)


def test_a_batch_scores_as_its_queries_would_alone(serve, catalogue):
    """Longer histories and candidate lists in the same job change nothing."""
    served = serve("ranking", catalogue)
    queries = some_queries(10, N, seed=4)
    vectors = np.random.default_rng(0).normal(size=(10, 16)).astype(np.float32)
    together = served(ranking_job(queries, vectors))[0]["scores"]
    for place, query in enumerate(queries):
        alone = served(ranking_job([query], vectors[place : place + 1], length=None))[0]["scores"][0]
        np.testing.assert_allclose(together[place][: len(alone)], alone, atol=1e-4)


def test_a_job_ranked_in_parts_scores_the_same(serve, catalogue, monkeypatch):
    """A large job runs the graph several times and its queries notice nothing."""
    served = serve("ranking", catalogue)
    job = ranking_job(some_queries(10, N), np.ones((10, 16)))
    whole = served(job)[0]["scores"]
    monkeypatch.setattr(ranker, "MAX_PAIRS", 3 * job["rows"].shape[1])
    np.testing.assert_allclose(served(job)[0]["scores"], whole, atol=1e-5)


def test_no_candidates_means_no_scores(serve, catalogue):
    """A job whose queries have no rows at all is answered, with nothing."""
    job = ranking_job([{**query, "rows": []} for query in some_queries(2, N)], np.zeros((2, 16)))
    arrays, metadata = serve("ranking", catalogue)(job)
    assert "error" not in metadata
    assert arrays["scores"].shape == (2, 0)


@pytest.mark.parametrize("backend", ["onnxruntime", "eager"])
def test_the_cascade_is_retrieval_then_ranking(serve, catalogue, backend):
    """One call gives what the two calls give, in retrieval order."""
    queries = some_queries(12, N)
    job = job_of(queries)
    cascade, _ = serve("cascade", catalogue, BANQUET_BACKEND=backend)(job)
    retrieval, _ = serve("retrieval", catalogue, BANQUET_BACKEND=backend)({key: job[key] for key in ("history", "seen", "limit")})
    ranking, _ = serve("ranking", catalogue, BANQUET_BACKEND=backend)(
        {**{key: job[key] for key in USER}, "rows": retrieval["rows"], "user_vector": retrieval["user_vector"]}
    )
    np.testing.assert_array_equal(cascade["rows"], retrieval["rows"])
    np.testing.assert_array_equal(cascade["scores"], retrieval["scores"])
    np.testing.assert_array_equal(cascade["user_vector"], retrieval["user_vector"])
    np.testing.assert_allclose(cascade["ranking"], ranking["scores"], atol=1e-4)
    assert np.isfinite(cascade["ranking"][cascade["rows"] >= 0]).all()
