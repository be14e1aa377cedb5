"""What TorchServe does when something goes wrong, in our words."""

import asyncio
import time

import numpy as np
import pytest

from banquet.core.errors import StageFailed
from banquet.core.stages import ModelRun
from banquet.inference.client import TorchServeClient
from banquet.inference.failures import NotDone
from banquet.inference.transport import TorchServeAddress
from tests.integration.torchserve.conftest import MESSAGE_BYTES, QUEUE
from tests.integration.torchserve.probe import CATALOGUE, job, until_ready


async def reason(models, behaviour: str, timeout_s: float = 5.0) -> str:
    with pytest.raises(StageFailed) as caught:
        await models.predict(job(behaviour), timeout_s)
    return caught.value.reason


async def test_an_answer_names_who_made_it(models):
    """Release, backend and time come with every answer."""
    answer = await models.predict(job(history=(4, 5, 6), seen=(5,)), 5.0)
    assert answer.run == ModelRun("r1", "probe", 0.5)
    assert answer.arrays["rows"].tolist() == [6, 4]
    assert answer.arrays["user_vector"].tolist() == [15, 3, 1]


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ("raise", "model_error"),
        ("oom", "model_error"),
        ("cuda", "model_error"),
        ("garbage", "model_error"),
        ("stale", "stale_catalogue"),
    ],
)
async def test_a_handler_that_fails_is_told_apart(models, behaviour, expected):
    """An exception, no memory, nonsense and a catalogue it does not have each get the reason the caller can act on."""
    assert await reason(models, behaviour) == expected


async def test_a_model_that_is_not_there_is_unavailable(client):
    """Neither asking nor describing it is an internal error."""
    for call in (client.run("nobody", "", {"limit": np.zeros((1, 1), np.int32)}, 5.0), client.describe("nobody", 5.0)):
        with pytest.raises(StageFailed, match="nobody") as caught:
            await call
        assert caught.value.reason == "unavailable"


async def test_a_slow_model_costs_the_timeout_and_no_more(models):
    """The query gets its `timeout` on time, and the next one its answer."""
    began_s = time.perf_counter()
    assert await reason(models, "slow 400", timeout_s=0.1) == "timeout"
    assert time.perf_counter() - began_s < 0.3
    assert (await models.predict(job(), 5.0)).run.backend == "probe"


async def test_queries_that_came_while_a_call_was_in_flight_go_together(models):
    """Eleven queries need two calls: the one that found the lane idle, and one for all others."""
    first = asyncio.create_task(models.predict(job("slow 50"), 5.0))
    await asyncio.sleep(0.02)
    rest = await asyncio.gather(*(models.predict(job("slow 50", history=(k,)), 5.0) for k in range(10)))
    assert [(await first).arrays["user_vector"][2], *(answer.arrays["user_vector"][2] for answer in rest)] == [1] + [10] * 10
    assert [answer.arrays["rows"].tolist() for answer in rest] == [[k] for k in range(10)]


async def test_a_large_job_fits(models):
    """Thousands of rows travel both ways."""
    history = tuple(range(50_000))
    answer = await models.predict(job(history=history, limit=len(history)), 10.0)
    assert len(answer.arrays["rows"]) == len(history)


async def test_a_worker_is_ready_and_its_version_is_the_release(client):
    """`describe` tells what is loaded."""
    loaded = await client.describe("probe", 5.0)
    assert (loaded.version, loaded.ready) == ("r1", True)


@pytest.mark.parametrize("call", ["predict", "describe"])
async def test_without_the_key_nothing_is_answered(torchserve, call):
    """Whoever finds the gRPC ports and does not own the key file gets nothing."""
    at = torchserve.grpc_address
    stranger = TorchServeClient(TorchServeAddress(at.inference, at.management))
    with pytest.raises(StageFailed, match="key file"):
        await (stranger.describe("probe", 5.0) if call == "describe" else stranger.run("probe", "", {}, 5.0))
    await stranger.close()


async def test_a_full_queue_is_overload(client):
    """Jobs beyond the worker's and the queue's are refused at once; of a model without workers TorchServe says the same."""
    give_up_s = time.monotonic() + 5.0
    while not client._roster.ready("probe"):
        assert time.monotonic() < give_up_s
        await asyncio.sleep(0.02)
    stacked = {name: array[None] for name, array in job().arrays.items()}
    calls = (client.run("probe", "slow 150", stacked, 5.0) for _ in range(QUEUE + 6))
    results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [result for result in results if isinstance(result, StageFailed)]
    assert {failed.reason for failed in refused} == {"overloaded"}
    assert all(isinstance(failed, NotDone) for failed in refused)
    assert 1 <= len(refused) <= 6


async def test_the_largest_job_that_may_be_sent_is_taken(client):
    """What is larger is refused before it is sent; what is not, TorchServe takes."""
    stacked = {name: array[None] for name, array in job().arrays.items()}
    ballast = np.zeros((1, MESSAGE_BYTES - 2048), np.int8)
    assert (await client.run("probe", CATALOGUE, {**stacked, "ballast": ballast}, 10.0)).run.backend == "probe"


async def test_an_answer_larger_than_torchserve_gives_is_a_failure_like_any_other(client):
    """Whatever becomes of the worker, the caller hears of it in time and the next one is answered."""
    stacked = {name: array[None] for name, array in job().arrays.items()}
    with pytest.raises(StageFailed) as caught:
        await client.run("probe", f"large {MESSAGE_BYTES + 2**20}", stacked, 5.0)
    assert caught.value.reason in {"unavailable", "model_error"}
    await until_ready(client)


async def test_the_workers_ready_are_the_capacity(client):
    """One worker, one call at a time."""
    assert client.capacity("probe") == 1
    await client.check("probe", 5.0)
