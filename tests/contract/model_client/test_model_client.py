"""What the pipeline may count on, whoever runs the models."""

import asyncio

import numpy as np
import pytest

from banquet.core.errors import StageFailed
from banquet.core.stages import ModelJob
from banquet.inference.readiness import run_canary
from banquet.inference.stacking import stack


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


async def test_items_already_seen_are_not_found_again(real, make_job):
    """Not even where that leaves fewer than asked for."""
    seen = list(range(50))
    rows = (await real.predict(make_job("retrieval", seen=seen, limit=[30]), 10.0)).arrays["rows"]
    assert sorted(rows.tolist()) == list(range(50, 60))


async def test_a_user_without_history_has_nothing_found_and_everything_ranked(real, make_job):
    """The models cannot know them: no items by retrieval, and ranking by what else is known."""
    found = (await real.predict(make_job("retrieval", history=[], seen=[]), 10.0)).arrays
    assert (len(found["rows"]), len(found["scores"]), found["user_vector"].any()) == (0, 0, False)
    ranked = (await real.predict(make_job("ranking", history=[]), 10.0)).arrays
    assert not np.isnan(ranked["scores"]).any()


async def test_rows_of_a_catalogue_the_host_does_not_have_are_refused(real, make_job):
    """They would mean other items."""
    job = make_job("retrieval")
    with pytest.raises(StageFailed) as caught:
        await real.predict(ModelJob(job.model, "f" * 16, job.arrays), 10.0)
    assert caught.value.reason == "stale_catalogue"


async def test_a_job_the_model_cannot_take_says_what_is_wrong(real, make_job):
    """The array is named."""
    job = make_job("retrieval")
    with pytest.raises(StageFailed, match="history") as caught:
        await real.predict(ModelJob(job.model, job.catalogue, {"limit": job.arrays["limit"]}), 10.0)
    assert caught.value.reason == "model_error"


async def test_time_that_is_up_is_a_timeout(real, make_job):
    """Promptly, and the next query is none the worse for it."""
    with pytest.raises(StageFailed) as caught:
        await real.predict(make_job("retrieval"), 0.00001)
    assert caught.value.reason == "timeout"
    assert (await real.predict(make_job("retrieval"), 10.0)).arrays["rows"].size


async def test_a_model_that_nobody_has_is_unavailable(host, make_job):
    """At once, by its name."""
    job = make_job("retrieval")
    with pytest.raises(StageFailed, match="nobody") as caught:
        await host.run("nobody", job.catalogue, stack([job.arrays]), 10.0)
    assert caught.value.reason == "unavailable"


async def test_a_host_works_on_one_job_at_least_and_says_that_it_can(host, make_job):
    """What lanes and readiness ask of it."""
    assert host.capacity("cascade") >= 1
    await host.check("cascade", 5.0)
    assert (await run_canary(host, make_job("cascade"), 5.0)).release


async def test_queries_that_nobody_waits_for_are_not_run(real, make_job):
    """Cancelled while a call was in flight, they leave the lane before the next one."""
    first = asyncio.create_task(real.predict(make_job("cascade"), 10.0))
    await asyncio.sleep(0)
    gone = [asyncio.create_task(real.predict(make_job("cascade"), 10.0)) for _ in range(5)]
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    results = await asyncio.gather(first, *gone, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [False] + [True] * 5
    assert (await real.predict(make_job("cascade"), 10.0)).arrays["rows"].size


async def test_many_at_once_are_all_answered(real, make_job):
    """Three hundred queries for three models, joined as they come."""
    jobs = [make_job(("retrieval", "ranking", "cascade")[k % 3]) for k in range(300)]
    answers = await asyncio.gather(*(real.predict(job, 10.0) for job in jobs))
    assert {answer.run.backend for answer in answers} == {"onnxruntime"}
