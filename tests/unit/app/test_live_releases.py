"""Which release serves whom, and that a query stays on the one it began with."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from banquet.app import live_releases as module
from banquet.app.live_releases import LiveReleases
from banquet.app.serving_file import Serving, read_gateways, write_serving
from banquet.app.shadow import Shadow
from banquet.core.deadline import Deadline
from banquet.core.errors import BadRelease, DeadlineUnmeetable
from banquet.core.evaluation_users import evaluation_user
from banquet.feedback.events import Event
from banquet.releases.rollout import Candidate
from banquet.releases.tally import Tally
from tests.fakes import FakeSource, make_query
from tests.unit.app.releases_at_work import make_release

USERS = [f"u{number}" for number in range(300)]


class Gateway:
    """A gateway's releases, and what was opened and closed."""

    def __init__(self, run, broken=()) -> None:
        self.run = run
        self.broken = set(broken)
        self.opened, self.closed = [], []
        self.sources = {}
        self.live = LiveReleases(self.open, Shadow(1.0), run, "0")
        self.sequence = 0

    async def open(self, release):
        if release in self.broken:
            raise BadRelease(f"{release} is broken")
        self.opened.append(release)
        return make_release(release, self.sources.get(release), self.closed.append)

    def tell(self, stable, candidate=None, opens=None, phase=1):
        self.sequence += 1
        names = opens or [stable, *([candidate.release] if candidate else [])]
        write_serving(self.run, Serving(self.sequence, stable, candidate, tuple(names), phase))

    async def until(self, true):
        async with asyncio.timeout(5):
            while not true():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.005)

    async def told(self):
        await self.until(lambda: self.live.serving.sequence == self.sequence)

    def reports(self):
        return read_gateways(self.run)[0]


@pytest.fixture
async def gateway(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.005)
    gateway = Gateway(tmp_path)
    gateway.tell("a")
    await gateway.live.start("ignored")
    task = asyncio.create_task(gateway.live.follow())
    yield gateway
    task.cancel()
    await gateway.live.close()


def served(gateway):
    return {gateway.live.of(user).release for user in USERS}


async def test_a_canary_serves_its_share_and_the_same_users_each_time(gateway):
    """The rest stay on the stable release; nobody without a name is tried on."""
    gateway.tell("a", Candidate("b", "canary", 30))
    await gateway.told()
    first = [user for user in USERS if gateway.live.of(user).release == "b"]
    assert 50 < len(first) < 130
    assert first == [user for user in USERS if gateway.live.of(user).release == "b"]
    assert gateway.live.of("").release == "a"
    assert [one.state for one in gateway.live.served()] == ["stable", "canary"]
    assert [one.percent for one in gateway.live.served()] == [70, 30]


@pytest.mark.parametrize("mode", ["loaded", "shadow", "promote"])
async def test_no_other_candidate_serves(gateway, mode):
    """Whatever its share."""
    gateway.tell("a", Candidate("b", mode, 100))
    await gateway.told()
    assert served(gateway) == {"a"}


async def test_a_promoted_release_serves_and_the_old_one_closes_when_idle(gateway):
    """A query in flight ends on the release it began on; only then does the report say that this is closed."""
    gateway.sources["a"] = FakeSource("cascade", [1], delay_s=0.3)
    slow = make_release("a", gateway.sources["a"], gateway.closed.append)
    gateway.live._open["a"] = slow
    call = asyncio.create_task(slow.answer(slow.placements["home"], make_query()))
    await asyncio.sleep(0)
    gateway.tell("b")
    await gateway.told()
    assert served(gateway) == {"b"}
    await asyncio.sleep(0.05)
    assert gateway.closed == []
    assert "a" in gateway.reports().opened
    await call
    await gateway.until(lambda: gateway.reports().opened == ("b",))
    assert gateway.closed == ["a"]


async def test_a_release_that_cannot_be_opened_is_reported_and_the_old_one_serves(gateway, monkeypatch):
    """Even when the deployer wanted it stable; it is tried again."""
    monkeypatch.setattr(module, "AGAIN_S", 0.2)
    gateway.broken.add("b")
    gateway.tell("b")
    await gateway.until(lambda: gateway.reports().failed == {"b": "b is broken"})
    assert served(gateway) == {"a"}
    gateway.broken.clear()
    await asyncio.sleep(0.05)
    assert served(gateway) == {"a"}
    await gateway.told()
    assert served(gateway) == {"b"}


async def test_a_release_wanted_again_before_it_closed_stays(gateway):
    """A rollback may be quick."""
    gateway.tell("a", Candidate("b"))
    await gateway.told()
    live = gateway.live.candidate
    live.in_flight = 1
    gateway.tell("a")
    await gateway.told()
    gateway.tell("a", Candidate("b"))
    await gateway.told()
    live.in_flight = 0
    await asyncio.sleep(0.05)
    assert gateway.live.candidate is live
    assert gateway.closed == []


async def test_a_release_named_in_the_settings_stays(tmp_path):
    """Without a deployer's folder nothing is followed or written."""
    gateway = Gateway(tmp_path)
    gateway.tell("b")
    fixed = LiveReleases(gateway.open, Shadow(1.0), None, "0")
    await fixed.start("a")
    await fixed._follow_on()
    assert fixed.of("u").release == "a"
    assert not list(tmp_path.glob("gateway-*"))


async def test_answers_are_counted_by_release_and_phase(gateway):
    """Errors, and what a model failed to give; the caller's own doing does not count, and a new phase starts from nothing."""
    failing = make_release("a", FakeSource("cascade", [1], error=RuntimeError("bug")))
    gateway.live._open["a"] = failing
    home = failing.placements["home"]
    await failing.answer(home, make_query())
    with pytest.raises(DeadlineUnmeetable):
        await failing.answer(home, make_query(deadline=Deadline(time.perf_counter() - 1)))
    tally = failing.tally
    assert (tally.answers, tally.errors, tally.degraded) == (1, 0, 1)
    gateway.tell("a", phase=2)
    await gateway.told()
    assert failing.tally.answers == 0


async def test_clicks_count_for_the_release_that_serves_their_user(gateway):
    """And impressions; nothing else does."""
    gateway.tell("a", Candidate("b", "canary", 30))
    await gateway.told()
    gateway.live.count(
        [Event(f"{kind}{user}", kind, user, "i", 1) for user in USERS for kind in ("impression", "click", "purchase")]
    )
    stable, candidate = gateway.live.stable.tally, gateway.live.candidate.tally
    assert stable.impressions == stable.clicks
    assert 50 < candidate.impressions == candidate.clicks < 130
    assert stable.impressions + candidate.impressions == len(USERS)


async def test_the_deployers_file_may_be_damaged(gateway):
    """What is served goes on."""
    (gateway.run / "serving.json").write_text("{")
    await asyncio.sleep(0.05)
    assert served(gateway) == {"a"}
    gateway.tell("b")
    await gateway.told()


async def test_evaluation_users_are_answered_and_not_counted(gateway):
    """Neither their answers, nor their failures, nor what they click."""
    gateway.tell("a", Candidate("b", "canary", 50))
    await gateway.told()
    guests = [evaluation_user(number) for number in range(40)]
    failing = make_release("a", FakeSource("cascade", [1], error=RuntimeError("bug")))
    with pytest.raises(AttributeError):
        await failing.answer(None, make_query(user_id=guests[0]))
    for guest in guests:
        live = gateway.live.of(guest)
        await live.answer(live.placements["home"], make_query(user_id=guest))
    gateway.live.count([Event(f"{kind}{user}", kind, user, "i", 1) for user in guests for kind in ("impression", "click")])
    for live in (failing, *gateway.live.all()):
        assert live.tally == Tally()
        assert live.in_flight == 0


async def test_a_shadow_is_not_tried_at_evaluation_users(gateway):
    """It is at everybody else; sinks are told of both."""
    gateway.tell("a", Candidate("b", "shadow", 100))
    await gateway.told()
    told, stable, candidate = [], gateway.live.stable, gateway.live.candidate
    home = replace(stable.placements["home"], sinks=[SimpleNamespace(take=told.append)])
    for user in (evaluation_user(3), "u3"):
        gateway.live.answered(stable, home, await stable.answer(home, make_query(user_id=user)))
    await gateway.until(lambda: candidate.tally.answers == 1)
    assert [answer.query.user_id for answer in told] == [evaluation_user(3), "u3"]
    assert (stable.tally.answers, candidate.tally.answers) == (1, 1)
