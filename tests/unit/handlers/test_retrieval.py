"""Retrieval against a plain reference."""

from __future__ import annotations

import numpy as np
import pytest

from handlers import items
from handlers.index import exact
from tests.release_factory import make_catalogue
from tests.unit.handlers.conftest import ITEMS, NEW_ITEMS, UNAVAILABLE
from tests.unit.handlers.reference import Reference, job_of, some_queries

N = ITEMS + NEW_ITEMS
KEYS = ("history", "seen", "limit")


def retrieval_job(queries, length=8):
    return {key: array for key, array in job_of(queries, length).items() if key in KEYS}


def assert_answers(arrays, queries, reference):
    for place, query in enumerate(queries):
        rows, scores = reference.retrieval(query["history"], query["seen"], query["limit"])
        assert arrays["rows"][place][: len(rows)].tolist() == rows
        assert (arrays["rows"][place][len(rows) :] == -1).all()
        np.testing.assert_allclose(arrays["scores"][place][: len(rows)], scores, atol=1e-4)
        assert np.isnan(arrays["scores"][place][len(rows) :]).all()
        np.testing.assert_allclose(arrays["user_vector"][place], reference.user_vector(query["history"]), atol=1e-4)


@pytest.mark.parametrize("backend", ["onnxruntime", "eager"])
def test_the_best_items_are_found_exactly(serve, catalogue, catalogue_dir, backend):
    """Rows, order and scores are those of a full sort, whatever runs the model, for histories of every length in one job."""
    queries = some_queries(12, N)
    arrays, metadata = serve("retrieval", catalogue, BANQUET_BACKEND=backend)(retrieval_job(queries))
    assert metadata["backend"] == backend
    assert_answers(arrays, queries, Reference(catalogue_dir, catalogue, ITEMS))


def test_seen_and_unavailable_items_never_come_back(serve, catalogue):
    """Asked for everything, all but the seen and the unavailable items come."""
    query = {**some_queries(5, N)[4], "seen": [0, 7, 8], "limit": 1000}
    arrays, _ = serve("retrieval", catalogue)(retrieval_job([query]))
    found = [row for row in arrays["rows"][0].tolist() if row >= 0]
    assert sorted(found) == [row for row in range(N) if row not in (0, 7, 8, *UNAVAILABLE)]


def test_an_item_training_never_saw_can_be_found(serve, catalogue):
    """Its content gives it a vector, so a new item comes back like any other."""
    query = {**some_queries(5, N)[4], "seen": [], "limit": 1000}
    arrays, _ = serve("retrieval", catalogue)(retrieval_job([query]))
    assert set(range(ITEMS, N)) - set(UNAVAILABLE) <= set(arrays["rows"][0].tolist())


def test_a_user_without_history_gets_no_items(serve, catalogue):
    """A zero vector says nothing about any item; the answer is empty rather than arbitrary."""
    query = {"history": [], "seen": [], "limit": 10}
    arrays, metadata = serve("retrieval", catalogue)(
        {
            "history": np.full((1, 8), -1, np.int32),
            "seen": np.empty((1, 0), np.int32),
            "limit": np.array([[query["limit"]]], np.int32),
        }
    )
    assert "error" not in metadata
    assert (arrays["rows"] == -1).all()
    assert not arrays["user_vector"].any()


def test_a_batch_answers_as_its_queries_would_alone(serve, catalogue):
    """Padding to the longest of a job changes nothing for the others."""
    served = serve("retrieval", catalogue)
    queries = some_queries(10, N, seed=3)
    together, _ = served(retrieval_job(queries))
    for place, query in enumerate(queries):
        alone, _ = served(retrieval_job([query], length=None))
        k = alone["rows"].shape[1]
        np.testing.assert_array_equal(together["rows"][place][:k], alone["rows"][0])
        np.testing.assert_allclose(together["scores"][place][:k], alone["scores"][0], atol=1e-5)
        np.testing.assert_allclose(together["user_vector"][place], alone["user_vector"][0], atol=1e-5)


def test_users_scored_in_parts_answer_the_same(serve, catalogue, catalogue_dir, monkeypatch):
    """A job too large for the bound on scores is done in parts."""
    monkeypatch.setattr(exact, "MAX_SCORES", 3 * N)
    queries = some_queries(10, N)
    arrays, _ = serve("retrieval", catalogue)(retrieval_job(queries))
    assert_answers(arrays, queries, Reference(catalogue_dir, catalogue, ITEMS))


def test_a_catalogue_encoded_in_parts_answers_the_same(serve, catalogue, catalogue_dir, monkeypatch):
    """A catalogue larger than one run of the graph takes is encoded piece by piece."""
    monkeypatch.setattr(items, "CHUNK", 7)
    queries = some_queries(10, N)
    arrays, _ = serve("retrieval", catalogue)(retrieval_job(queries))
    assert_answers(arrays, queries, Reference(catalogue_dir, catalogue, ITEMS))


def test_an_empty_catalogue_has_nothing_to_offer(serve, catalogue_dir):
    """A store without items gives empty answers, not failures."""
    version = make_catalogue(catalogue_dir, items=0)
    arrays, metadata = serve("cascade", version)(job_of([{**some_queries(1, N)[0], "seen": []}]))
    assert "error" not in metadata
    assert arrays["rows"].shape == (1, 0)


@pytest.mark.parametrize("limit", [0, -5])
def test_a_limit_of_nothing_gives_nothing(serve, catalogue, limit):
    """An absurd limit is an empty answer, not a failure."""
    arrays, metadata = serve("retrieval", catalogue)(retrieval_job([{**some_queries(3, N)[2], "limit": limit}]))
    assert "error" not in metadata
    assert arrays["rows"].shape == (1, 0)


def test_an_answer_says_who_gave_it(serve, catalogue, model_dir):
    """Backend, release, catalogue and the time the model took come with every answer."""
    _, metadata = serve("retrieval", catalogue)(retrieval_job(some_queries(2, N)))
    assert metadata["release"] == (model_dir / "release").resolve().name
    assert metadata["catalogue"] == catalogue
    assert metadata["backend"] == "onnxruntime"
    assert 0 < float(metadata["model_ms"]) < 5_000
