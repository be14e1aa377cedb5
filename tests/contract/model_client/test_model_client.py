"""What the pipeline may count on, whoever runs the models."""

import asyncio

import numpy as np
import pytest

from banquet.core.errors import StageFailed
from banquet.core.stages import ModelJob


@pytest.mark.parametrize("model", ["retrieval", "cascade"])
async def test_found_items_are_distinct_rows_best_first_with_a_score_each(models, make_job, model):
    """At most `limit` rows without padding, scores in step and falling, and the user's vector for the ranking model."""
    answer = (await models.predict(make_job(model, limit=[7]), 10.0)).arrays
    assert answer["rows"].dtype == np.int32
    assert 0 < len(set(answer["rows"].tolist())) == len(answer["rows"]) <= 7
    assert answer["scores"].dtype == np.float32
    assert (np.diff(answer["scores"]) <= 0).all()
    assert len(answer["scores"]) == len(answer["rows"])
    assert answer["user_vector"].ndim == 1
    if model == "cascade":
        assert answer["ranking"].dtype == np.float32
        assert len(answer["ranking"]) == len(answer["rows"])


async def test_ranking_gives_each_row_asked_about_one_score(models, make_job):
    """In the order asked."""
    scores = (await models.predict(make_job("ranking", rows=[4, 2, 9, 30, 1]), 10.0)).arrays["scores"]
    assert (scores.dtype, scores.shape) == (np.float32, (5,))
    assert not np.isnan(scores).any()


async def test_an_answer_names_release_and_backend(models, make_job):
    """For the answer, the metrics and the served log."""
    run = (await models.predict(make_job("retrieval"), 10.0)).run
    assert run.release
    assert run.backend
    assert run.model_ms >= 0


async def test_queries_asked_together_get_what_they_would_get_alone(models, make_job):
    """Joined or not, padded or not, an answer depends on its own query alone."""
    rng = np.random.default_rng(7)
    jobs = [
        make_job("ranking", history=rng.integers(0, 60, k % 5), rows=rng.permutation(60)[: 1 + 3 * k], user_numbers=[k, -k])
        for k in range(12)
    ]
    jobs += [
        make_job("cascade", history=rng.integers(0, 60, k), seen=rng.integers(0, 60, 2 * k), limit=[3 + k]) for k in range(6)
    ]
    together = await asyncio.gather(*(models.predict(job, 10.0) for job in jobs))
    for job, answer in zip(jobs, together, strict=True):
        alone = await models.predict(job, 10.0)
        for name, array in alone.arrays.items():
            np.testing.assert_allclose(answer.arrays[name], array, rtol=1e-4, atol=1e-5)


async def test_items_already_seen_are_not_found_again(torchserve, make_job):
    """Not even where that leaves fewer than asked for."""
    seen = list(range(50))
    rows = (await torchserve.predict(make_job("retrieval", seen=seen, limit=[30]), 10.0)).arrays["rows"]
    assert sorted(rows.tolist()) == list(range(50, 60))


async def test_a_user_without_history_has_nothing_found_and_everything_ranked(torchserve, make_job):
    """The models cannot know them: no items by retrieval, and ranking by what else is known."""
    found = (await torchserve.predict(make_job("retrieval", history=[], seen=[]), 10.0)).arrays
    assert (len(found["rows"]), len(found["scores"]), found["user_vector"].any()) == (0, 0, False)
    ranked = (await torchserve.predict(make_job("ranking", history=[]), 10.0)).arrays
    assert not np.isnan(ranked["scores"]).any()


async def test_rows_of_a_catalogue_the_worker_does_not_have_are_refused(torchserve, make_job):
    """They would mean other items."""
    job = make_job("retrieval")
    with pytest.raises(StageFailed) as caught:
        await torchserve.predict(ModelJob(job.model, "f" * 16, job.arrays), 10.0)
    assert caught.value.reason == "stale_catalogue"


async def test_a_job_the_model_cannot_take_says_what_is_wrong(torchserve, make_job):
    """The array is named."""
    job = make_job("retrieval")
    with pytest.raises(StageFailed, match="history") as caught:
        await torchserve.predict(ModelJob(job.model, job.catalogue, {"limit": job.arrays["limit"]}), 10.0)
    assert caught.value.reason == "model_error"


async def test_time_that_is_up_is_a_timeout(torchserve, make_job):
    """Promptly, and the next query is none the worse for it."""
    with pytest.raises(StageFailed) as caught:
        await torchserve.predict(make_job("retrieval"), 0.00001)
    assert caught.value.reason == "timeout"
    assert (await torchserve.predict(make_job("retrieval"), 10.0)).arrays["rows"].size
