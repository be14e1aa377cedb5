"""Queries for one model are joined, and each is on its own for better or worse."""

import asyncio
import time

import numpy as np
import pytest

from banquet.core.errors import StageFailed
from banquet.core.stages import ModelJob
from banquet.inference.batcher import Batcher
from banquet.inference.lane import LaneLimits
from tests.unit.inference.hosts import FakeHost, number


async def reason_of(call) -> str:
    with pytest.raises(StageFailed) as caught:
        await call
    return caught.value.reason


async def test_a_lone_query_is_sent_at_once():
    """No delay waits for company."""
    host = FakeHost()
    began_s = time.perf_counter()
    answer = await Batcher(host).predict(number(4), 1.0)
    assert time.perf_counter() - began_s < 0.09
    assert (answer.arrays["double"].tolist(), host.calls) == ([8], [1])


async def test_queries_one_right_after_the_other_are_all_sent():
    """A query that comes in the moment its predecessor was answered is not forgotten."""
    host = FakeHost()
    models = Batcher(host)
    for k in range(100):
        await models.predict(number(k), 0.5)
    assert host.calls == [1] * 100


async def test_queries_of_the_same_moment_go_together():
    """Whoever asks in one turn of the loop shares a call, from the first call on."""
    host = FakeHost()
    models = Batcher(host)
    answers = await asyncio.gather(*(models.predict(number(k), 1.0) for k in range(20)))
    assert host.calls == [20]
    assert [answer.arrays["double"].tolist() for answer in answers] == [[2 * k] for k in range(20)]


async def test_what_queues_up_while_a_call_is_in_flight_is_the_next_call():
    """With one worker, batches grow with load; a second one takes them meanwhile, unless one call is all there may be."""
    for workers, max_in_flight, calls in ((1, 8, [1, 5]), (2, 8, [1, 2, 3]), (2, 1, [1, 5])):
        host = FakeHost(workers=workers)
        host.gate.clear()
        models = Batcher(host, LaneLimits(max_in_flight=max_in_flight))
        asked = []
        for burst in (1, 2, 3):
            asked += [asyncio.create_task(models.predict(number(k), 1.0)) for k in range(burst)]
            await asyncio.sleep(0.005)
        host.gate.set()
        await asyncio.gather(*asked)
        assert host.calls == calls


@pytest.mark.parametrize(("limits", "width"), [(LaneLimits(max_batch=2), 1), (LaneLimits(max_cells=100), 50)])
async def test_a_call_holds_no_more_than_it_may(limits, width):
    """Neither more queries than the limit nor more padded cells."""
    host = FakeHost()
    models = Batcher(host, limits)
    await asyncio.gather(*(models.predict(number(k, width=width), 1.0) for k in range(5)))
    assert host.calls == [2, 2, 1]


async def test_a_query_larger_than_the_limit_goes_alone():
    """It is not refused, and not held back for ever."""
    host = FakeHost()
    await Batcher(host, LaneLimits(max_cells=10)).predict(number(1, width=50), 1.0)
    assert host.calls == [1]


async def test_catalogues_and_array_types_never_mix():
    """Rows of one version mean other items in the next; arrays of another type cannot be stacked."""
    host = FakeHost()
    models = Batcher(host)
    other_type = ModelJob("m", "c2", {"value": np.ones(1, np.float32)})
    jobs = [number(1), number(2, catalogue="c2"), other_type]
    answers = await asyncio.gather(*(models.predict(job, 1.0) for job in jobs))
    assert host.calls == [1, 1, 1]
    assert [answer.arrays["double"].dtype for answer in answers] == [np.int32, np.int32, np.float32]


async def test_jobs_of_another_kind_make_no_call_smaller():
    """Queries with filters and without come in turns, and go with their like, the oldest first; nobody is passed over."""
    host = FakeHost(workers=1)
    models = Batcher(host)
    jobs = [number(k) if k % 3 else ModelJob("m", "c1", {**number(k).arrays, "allowed": np.ones(2, np.int32)}) for k in range(12)]
    answers = await asyncio.gather(*(models.predict(job, 1.0) for job in jobs))
    assert host.calls == [4, 8]
    assert [answer.arrays["double"].tolist() for answer in answers] == [[2 * k] for k in range(12)]


async def test_a_timeout_is_its_own_and_costs_the_others_nothing():
    """The impatient query gives up on time; those in the same call get their answer."""
    host = FakeHost(delay_s=0.08)
    models = Batcher(host)
    patient = asyncio.create_task(models.predict(number(1), 1.0))
    began_s = time.perf_counter()
    assert await reason_of(models.predict(number(2), 0.02)) == "timeout"
    assert time.perf_counter() - began_s < 0.06
    assert (await patient).arrays["double"].tolist() == [2]
    assert host.calls == [2]
    assert host.timeouts_s[0] == pytest.approx(1.0, abs=0.1)


async def test_a_cancelled_query_costs_the_others_nothing():
    """A caller that went away leaves the call it shared alone."""
    host = FakeHost(delay_s=0.03)
    models = Batcher(host)
    patient = asyncio.create_task(models.predict(number(1), 1.0))
    gone = asyncio.create_task(models.predict(number(2), 1.0))
    await asyncio.sleep(0.01)
    gone.cancel()
    assert (await patient).arrays["double"].tolist() == [2]


async def test_expired_and_cancelled_queries_are_never_sent():
    """What nobody waits for any more is dropped before it costs the model time."""
    host = FakeHost()
    host.gate.clear()
    models = Batcher(host)
    first = asyncio.create_task(models.predict(number(1), 1.0))
    await asyncio.sleep(0)
    late = asyncio.create_task(models.predict(number(2), 0.01))
    gone = asyncio.create_task(models.predict(number(3), 1.0))
    last = asyncio.create_task(models.predict(number(4), 1.0))
    await asyncio.sleep(0.03)
    gone.cancel()
    assert await reason_of(late) == "timeout"
    host.gate.set()
    await asyncio.gather(first, last)
    assert sum(host.calls) == 2


async def test_a_full_queue_refuses_and_expired_queries_make_room():
    """`overloaded` comes at once; queries that gave up do not count."""
    host = FakeHost()
    host.gate.clear()
    models = Batcher(host, LaneLimits(max_queued=2))
    asked = [asyncio.create_task(models.predict(number(0), 1.0))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    impatient = [asyncio.create_task(models.predict(number(k), 0.02)) for k in range(2)]
    await asyncio.sleep(0)
    assert await reason_of(models.predict(number(3), 1.0)) == "overloaded"
    await asyncio.gather(*impatient, return_exceptions=True)
    asked.append(asyncio.create_task(models.predict(number(4), 1.0)))
    await asyncio.sleep(0)
    host.gate.set()
    assert [answer.arrays["double"].tolist() for answer in await asyncio.gather(*asked)] == [[0], [8]]


async def test_a_failed_call_fails_all_its_queries_with_its_reason():
    """They know what went wrong, and the next call is none the worse for it."""
    host = FakeHost(error=StageFailed("stale_catalogue", "c1"))
    models = Batcher(host)
    asked = [models.predict(number(k), 1.0) for k in range(3)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert [result.reason for result in results] == ["stale_catalogue"] * 3
    host.error = None
    assert (await models.predict(number(1), 1.0)).arrays["double"].tolist() == [2]


async def test_a_bug_leaves_nobody_waiting(caplog):
    """Whatever a host raises becomes `model_error`, and is logged."""
    models = Batcher(FakeHost(error=ZeroDivisionError("a bug")))
    assert await reason_of(models.predict(number(1), 1.0)) == "model_error"
    assert "ZeroDivisionError" in caplog.text


async def test_closing_tells_everyone_who_waits():
    """No query hangs when the gateway ends."""
    host = FakeHost()
    host.gate.clear()
    models = Batcher(host)
    in_flight = asyncio.create_task(models.predict(number(1), 5.0))
    await asyncio.sleep(0.005)
    queued = asyncio.create_task(models.predict(number(2), 5.0))
    await asyncio.sleep(0.005)
    await models.close()
    assert [await reason_of(in_flight), await reason_of(queued)] == ["unavailable", "unavailable"]


async def test_an_unreachable_model_is_asked_once_and_then_refused_at_once():
    """While the breaker is open no query reaches the host; the canary does, and closes it."""
    host = FakeHost()
    models = Batcher(host)
    await models.predict(number(1), 1.0)
    host.error = StageFailed("unavailable", "connection refused")
    assert await reason_of(models.predict(number(1), 1.0)) == "unavailable"
    asked = len(host.calls)
    for _ in range(20):
        assert await reason_of(models.predict(number(1), 1.0)) == "unavailable"
    assert len(host.calls) == asked
    host.error = None
    await asyncio.sleep(0.2)
    assert (await models.predict(number(3), 1.0)).arrays["double"].tolist() == [6]
    await models.close()


async def test_an_impatient_query_says_nothing_about_the_model():
    """Timeouts that gave the model no fair chance do not open the breaker."""
    host = FakeHost(delay_s=0.01)
    models = Batcher(host)
    for _ in range(10):
        assert await reason_of(models.predict(number(1), 0.002)) == "timeout"
        await asyncio.sleep(0.012)
    assert (await models.predict(number(1), 1.0)).arrays["double"].tolist() == [2]


async def test_a_job_that_fails_is_never_the_canary():
    """The canary repeats what went well: repeating what brought a worker down would bring it down for ever."""
    host = FakeHost()
    models = Batcher(host)
    await models.predict(number(1, width=3), 1.0)
    seen = []
    run = host.run

    async def watched(model, catalogue, arrays, timeout_s):
        seen.append(arrays["value"].tolist())
        return await run(model, catalogue, arrays, timeout_s)

    host.run = watched
    host.error = StageFailed("unavailable", "Worker died.")
    await reason_of(models.predict(number(666), 1.0))
    await asyncio.sleep(0.15)
    assert seen[0] == [[666]]
    assert seen[1:]
    assert all(canary == [[1, 1, 1]] for canary in seen[1:])
    await models.close()


async def test_a_model_that_never_answered_stays_shut_until_its_first_canary_comes_back():
    """Without a job that went well, the one the gateway was given decides; the breaker does not open the way unasked."""
    host = FakeHost(error=StageFailed("unavailable", "connection refused"))
    models = Batcher(host, canary=lambda model: number(7))
    assert await reason_of(models.predict(number(1, width=2), 1.0)) == "unavailable"
    await asyncio.sleep(0.2)
    asked = len(host.calls)
    assert asked > 1
    assert await reason_of(models.predict(number(1, width=2), 1.0)) == "unavailable"
    assert len(host.calls) == asked
    host.error = None
    await asyncio.sleep(0.6)
    assert (await models.predict(number(3), 1.0)).arrays["double"].tolist() == [6]
    await models.close()


async def test_a_query_whose_alarm_is_late_is_not_sent_either():
    """As when something has held up the event loop past its deadline."""
    host = FakeHost()
    host.gate.clear()
    models = Batcher(host)
    first = asyncio.create_task(models.predict(number(1), 1.0))
    await asyncio.sleep(0.005)
    late = asyncio.create_task(models.predict(number(2), 0.02))
    await asyncio.sleep(0)
    host.gate.set()
    time.sleep(0.05)  # noqa: ASYNC251 - that is the point
    await first
    assert await reason_of(late) == "timeout"
    assert host.calls == [1]


async def test_queries_that_wait_when_the_breaker_opens_are_refused_at_once():
    """They would cost the dead model calls and themselves their time."""
    host = FakeHost(error=StageFailed("unavailable", "connection refused"))
    host.gate.clear()
    models = Batcher(host)
    first = asyncio.create_task(models.predict(number(1), 1.0))
    await asyncio.sleep(0.005)
    waiting = [asyncio.create_task(models.predict(number(k), 1.0)) for k in range(5)]
    await asyncio.sleep(0.005)
    host.gate.set()
    assert [await reason_of(asked) for asked in (first, *waiting)] == ["unavailable"] * 6
    assert host.calls == [1]
    await models.close()


@pytest.mark.parametrize("error", [StageFailed("model_error", "not tensors"), ZeroDivisionError("a bug")])
async def test_a_model_that_answers_nothing_but_nonsense_is_left_in_peace(error):
    """After three answers in a row that cannot be used, until a canary's can."""
    host = FakeHost()
    models = Batcher(host)
    await models.predict(number(1), 1.0)
    host.error = error
    for _ in range(6):
        await reason_of(models.predict(number(1), 1.0))
    assert await reason_of(models.predict(number(1), 1.0)) == "unavailable"
    assert len(host.calls) == 4
    host.error = None
    await asyncio.sleep(0.2)
    assert (await models.predict(number(3), 1.0)).arrays["double"].tolist() == [6]
    await models.close()


async def test_a_canary_that_comes_back_later_than_queries_wait_closes_nothing():
    """A model that takes 300 ms is of no use to queries that have 100."""
    host = FakeHost()
    models = Batcher(host)
    await models.predict(number(1), 0.1)
    host.delay_s = 0.3
    reasons = [await reason_of(models.predict(number(1), 0.1)) for _ in range(3)]
    await asyncio.sleep(0.5)
    reasons.append(await reason_of(models.predict(number(1), 0.1)))
    assert reasons == ["timeout", "timeout", "timeout", "unavailable"]
    host.delay_s = 0.0
    await asyncio.sleep(1.2)
    assert (await models.predict(number(3), 0.1)).arrays["double"].tolist() == [6]
    await models.close()


async def test_overload_narrows_the_lane_and_opens_nothing():
    """Fewer calls at once, each with more company, until calls go well again."""
    host = FakeHost(workers=4, error=StageFailed("overloaded", "queue full"))
    models = Batcher(host)
    for _ in range(5):
        assert await reason_of(models.predict(number(1), 1.0)) == "overloaded"
    host.error = None
    host.gate.clear()
    asked = []
    for k in range(4):
        asked.append(asyncio.create_task(models.predict(number(k), 1.0)))
        await asyncio.sleep(0.002)
    host.gate.set()
    await asyncio.gather(*asked)
    assert host.calls[5:] == [1, 3]
