"""Several hosts as one."""

import asyncio
import time

import numpy as np
import pytest

from banquet.core.errors import StageFailed
from banquet.inference import balanced as module
from banquet.inference.balanced import Balanced
from banquet.inference.failures import NotDone
from tests.unit.inference.hosts import FakeHost

ARRAYS = {"value": np.ones((2, 1), np.int32)}


async def ask(balanced: Balanced, times: int = 1, timeout_s: float = 1.0) -> None:
    for _ in range(times):
        await balanced.run("m", "c", ARRAYS, timeout_s)


async def reason_of(balanced: Balanced, timeout_s: float = 1.0) -> str:
    with pytest.raises(StageFailed) as caught:
        await balanced.run("m", "c", ARRAYS, timeout_s)
    return caught.value.reason


@pytest.fixture
def hosts():
    return {"a": FakeHost(), "b": FakeHost()}


@pytest.fixture
async def balanced(hosts):
    balanced = Balanced(hosts)
    yield balanced
    await balanced.close()


def calls(hosts) -> list[int]:
    return [len(host.calls) for host in hosts.values()]


async def test_a_job_goes_to_who_has_the_fewest_per_worker(hosts, balanced):
    """Six at once: four for the host with two workers, two for the other."""
    hosts["b"].workers = 2
    for host in hosts.values():
        host.gate.clear()
    asked = [asyncio.create_task(ask(balanced)) for _ in range(6)]
    await asyncio.sleep(0.01)
    assert calls(hosts) == [2, 4]
    for host in hosts.values():
        host.gate.set()
    await asyncio.gather(*asked)


async def test_of_two_idle_hosts_the_quicker_one_is_asked(hosts, balanced):
    """Once both are known."""
    hosts["a"].delay_s = 0.01
    await ask(balanced, times=10)
    assert calls(hosts) == [1, 9]


async def test_what_a_host_did_not_do_another_one_does(hosts, balanced):
    """The caller notices nothing, and the host that is gone is not asked again."""
    hosts["a"].error = NotDone("unavailable", "connection refused")
    await ask(balanced, times=5)
    assert calls(hosts) == [1, 5]


@pytest.mark.parametrize(
    "error", [StageFailed("timeout"), StageFailed("unavailable", "Worker died."), StageFailed("model_error", "Prediction failed")]
)
async def test_a_job_that_may_be_running_or_may_be_the_reason_is_never_done_twice(hosts, balanced, error):
    """A time-out, a worker that died of it, a model that cannot do it."""
    hosts["a"].error = error
    assert await reason_of(balanced) == error.reason
    assert calls(hosts) == [1, 0]


async def test_without_time_left_there_is_no_second_try(hosts, balanced, monkeypatch):
    """The deadline is the caller's."""
    monkeypatch.setattr(module, "WORTH_TRYING_S", 1.0)
    hosts["a"].error = NotDone("unavailable")
    assert await reason_of(balanced, timeout_s=0.9) == "unavailable"
    assert calls(hosts) == [1, 0]


async def test_the_second_try_has_what_is_left_of_the_time(hosts, balanced):
    """Not the whole of it again."""
    hosts["a"].error = NotDone("overloaded")
    hosts["a"].delay_s = 0.05
    await ask(balanced, timeout_s=1.0)
    assert 0.5 < hosts["b"].timeouts_s[0] <= 0.95


async def test_with_every_host_gone_jobs_are_refused_at_once_until_one_is_back(hosts, balanced):
    """A canary finds out, no query does."""
    await ask(balanced)
    for host in hosts.values():
        host.error = NotDone("unavailable", "connection refused")
    assert await reason_of(balanced) == "unavailable"
    asked = calls(hosts)[1]
    assert await reason_of(balanced) == "unavailable"
    assert calls(hosts)[1] == asked
    for host in hosts.values():
        host.error = None
    await asyncio.sleep(0.2)
    await ask(balanced)


async def test_a_slow_host_leaves_the_pool_and_comes_back_when_its_canary_is_quick(hosts, balanced):
    """Far slower than the other, that is; and the canary must be as quick."""

    async def burst() -> None:
        await asyncio.gather(*(ask(balanced) for _ in range(2)))

    hosts["b"].delay_s = 0.15
    for _ in range(6):
        await burst()
    asked = calls(hosts)
    assert balanced.capacity("m") == 1
    for _ in range(3):
        await burst()
    assert calls(hosts)[0] - asked[0] == 6
    await asyncio.sleep(0.4)
    assert balanced.capacity("m") == 1
    hosts["b"].delay_s = 0.0
    give_up_s = time.monotonic() + 3.0
    while balanced.capacity("m") == 1:
        assert time.monotonic() < give_up_s
        await asyncio.sleep(0.01)
    before = calls(hosts)[1]
    await burst()
    assert calls(hosts)[1] > before


async def test_a_host_that_times_out_thrice_is_out_and_the_others_go_on(hosts, balanced):
    """It hangs; what it was given meanwhile is lost, the rest is answered."""
    await ask(balanced)
    hosts["a"].error = StageFailed("timeout")
    hosts["a"].delay_s = 0.03
    hosts["b"].delay_s = 0.1
    results = [await asyncio.gather(ask(balanced), ask(balanced), return_exceptions=True) for _ in range(5)]
    lost = sum(isinstance(result, StageFailed) for pair in results for result in pair)
    assert lost == 3
    assert balanced.capacity("m") == 1


async def test_it_can_serve_as_long_as_one_host_can(hosts, balanced):
    """With none, the first one says why."""
    hosts["a"].error = StageFailed("unavailable", "no worker")
    await balanced.check("m", 1.0)
    hosts["b"].error = StageFailed("unavailable", "gone as well")
    with pytest.raises(StageFailed, match="no worker"):
        await balanced.check("m", 1.0)
