"""The deployer makes what is wanted so, whatever stands in its way; TorchServe and the gateways are fakes here."""

from __future__ import annotations

import asyncio
import time

import pytest

from banquet.app import deployer as module
from banquet.app.canary import INPUTS
from banquet.app.deployer import Deployer
from banquet.app.serving_file import GatewayReport, read_deployer, read_serving, write_gateway
from banquet.core.errors import BadRelease, StageFailed
from banquet.releases import rollout_file
from banquet.releases.guardrails import Limits
from banquet.releases.tally import Tally


class FakeLoader:
    """A TorchServe that has the stable release from the start and takes a moment for another."""

    can_load = True

    def __init__(self, stable: str) -> None:
        self.models = {stable: set(INPUTS)}
        self.proven = set()
        self.refusals = {}
        self.failures = {}
        self.calls = []
        self.load_s = 0.02
        self.away = False

    async def loaded(self):
        if self.away:
            raise StageFailed("unavailable", "TorchServe is away")
        self.proven &= set(self.models)
        return {release: set(models) for release, models in self.models.items()}

    def is_proven(self, release):
        return release in self.proven

    async def load(self, release, say):
        say("loading cascade")
        self.calls.append(("load", release))
        if release in self.refusals:
            self.models[release] = {"retrieval"}
            raise BadRelease(self.refusals[release])
        if self.failures.get(release, 0):
            self.failures[release] -= 1
            raise StageFailed("unavailable", "TorchServe is away")
        self.models[release] = {"retrieval"}
        await asyncio.sleep(self.load_s)
        self.models[release] = set(INPUTS)
        self.proven.add(release)

    async def unload(self, release):
        self.calls.append(("unload", release))
        del self.models[release]

    async def make_default(self, release):
        assert release in self.models

    async def close(self):
        pass


class FakeGateway:
    """Opens what it is told to after a moment, and says so; `unwilling` are releases it cannot open."""

    def __init__(self, run, name="0") -> None:
        self.run, self.name = run, name
        self.opened = set()
        self.unwilling = {}
        self.busy = set()
        self.tallies = {}
        self.served = []

    async def follow(self):
        while True:
            serving = read_serving(self.run)
            if serving is not None:
                self.opened |= {release for release in serving.opens if release not in self.unwilling}
                self.opened -= {release for release in self.opened if release not in serving.opens and release not in self.busy}
                self.served.append((serving.stable, serving.candidate))
                failed = {release: why for release, why in self.unwilling.items() if release in serving.opens}
                report = GatewayReport(
                    time.time(), serving.sequence, serving.phase, tuple(self.opened), failed, dict(self.tallies)
                )
                write_gateway(self.run, self.name, report)
            await asyncio.sleep(0.005)


class World:
    """A workspace with release `a` stable, served by a gateway."""

    def __init__(self, folder) -> None:
        self.releases, self.run = folder / "releases", folder / "run"
        for name in "abc":
            (self.releases / name).mkdir(parents=True)
        rollout_file.change(self.releases, "train", "a", lambda state: state.put_in_force("a"))
        self.loader = FakeLoader("a")
        self.gateway = FakeGateway(self.run)
        self.on_stable = []
        self.tasks = []

    def start(self):
        deployer = Deployer(self.releases, self.run, self.loader, Limits(min_queries=100), self.on_stable.append)
        deployer.begin(self.state.stable)
        self.tasks = [asyncio.create_task(deployer.run()), asyncio.create_task(self.gateway.follow())]

    async def kill(self):
        """As kill -9 of `banquet up`: TorchServe goes, too, and comes back with the stable release."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        refusals = self.loader.refusals
        self.loader = FakeLoader(self.state.stable)
        self.loader.refusals = refusals
        self.gateway.opened = set()

    @property
    def state(self):
        return rollout_file.read(self.releases)

    def want(self, verb, step):
        return rollout_file.change(self.releases, verb, "b", step).revision

    async def settled(self, revision=0):
        async with asyncio.timeout(10):
            while self._settled() < max(revision, self.state.revision):  # noqa: ASYNC110 - as below
                await asyncio.sleep(0.005)

    def _settled(self):
        report = read_deployer(self.run)
        return -1 if report is None else report.settled

    async def until(self, true):
        async with asyncio.timeout(10):
            while not true():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.005)

    def serving(self):
        told = read_serving(self.run)
        return told.stable, told.candidate and (told.candidate.release, told.candidate.mode, told.candidate.percent)

    def last(self):
        return rollout_file.history(self.releases)[-1]


@pytest.fixture
async def world(tmp_path, monkeypatch):
    for name, seconds in (("LOOK_S", 0.01), ("INSPECT_S", 0.05), ("GUARD_S", 0.01), ("DRAINING_S", 1.0), ("OPENING_S", 1.0)):
        monkeypatch.setattr(module, name, seconds)
    world = World(tmp_path)
    world.start()
    yield world
    for task in world.tasks:
        task.cancel()
    await asyncio.gather(*world.tasks, return_exceptions=True)


async def test_a_release_is_deployed_tried_and_promoted(world):
    """Loaded once; the old one goes when nobody uses it any more, and the next start of TorchServe loads the new one."""
    await world.settled(world.want("deploy", lambda state: state.deploy("b")))
    assert world.serving() == ("a", ("b", "loaded", 0))
    await world.settled(world.want("canary", lambda state: state.canary("b", 5)))
    assert world.serving() == ("a", ("b", "canary", 5))
    world.gateway.busy.add("a")
    promoting = world.want("promote", lambda state: state.promote("b"))
    await world.until(lambda: world.serving() == ("b", None))
    await asyncio.sleep(0.1)
    assert "a" in world.loader.models
    world.gateway.busy.clear()
    await world.settled(promoting)
    assert world.loader.calls == [("load", "b"), ("unload", "a")]
    assert (world.state.stable, world.state.previous, world.on_stable) == ("b", "a", ["b"])
    await world.settled(world.want("rollback", lambda state: state.rollback()))
    assert world.serving() == ("a", None)
    assert set(world.loader.models) == {"a"}


async def test_gateways_have_a_release_open_before_it_serves(world):
    """At no moment did one hear of a stable release or a candidate that it had not been asked to open before."""
    await world.settled(world.want("canary", lambda state: state.canary("b", 5)))
    await world.settled(world.want("promote", lambda state: state.promote("b")))
    kinds = list(dict.fromkeys((stable, candidate and candidate.mode) for stable, candidate in world.gateway.served))
    assert kinds == [("a", None), ("a", "canary"), ("b", None)]


@pytest.mark.parametrize("verb", ["deploy", "promote"])
async def test_what_cannot_be_served_is_refused_and_the_old_release_serves_on(world, verb):
    """The reason is in the history; what was loaded of it is gone."""
    world.loader.refusals["b"] = "the handler of cascade could not be loaded: boom"
    await world.settled(world.want(verb, lambda state: getattr(state, verb)("b")))
    await world.until(lambda: set(world.loader.models) == {"a"})
    assert world.serving() == ("a", None)
    assert (world.last().verb, world.last().by, world.last().why) == ("refused", "deployer", world.loader.refusals["b"])
    assert world.state.candidate is None


async def test_a_release_that_a_gateway_cannot_open_is_refused(world):
    """It would serve some callers and not others."""
    world.gateway.unwilling["b"] = "no memory"
    await world.settled(world.want("deploy", lambda state: state.deploy("b")))
    assert world.last().why == "a gateway could not open it: no memory"
    await world.until(lambda: set(world.loader.models) == {"a"})


async def test_torchserve_may_be_away_for_a_moment_but_not_for_ever(world):
    """Once is tried again; a release whose loading takes TorchServe down each time is refused."""
    world.loader.failures["b"] = 1
    await world.settled(world.want("deploy", lambda state: state.deploy("b")))
    assert world.state.candidate.release == "b"
    await world.settled(world.want("rollback", lambda state: state.rollback()))
    world.loader.failures["b"] = 99
    await world.settled(world.want("deploy", lambda state: state.deploy("b")))
    assert world.last().verb == "refused"
    assert "failed 3 times" in world.last().why


async def test_a_candidate_that_torchserve_lost_gives_its_share_back_until_it_is_loaded_again(world):
    """As after a crash of TorchServe, which starts with the stable release alone."""
    await world.settled(world.want("canary", lambda state: state.canary("b", 5)))
    world.loader.load_s = 0.3
    world.loader.models = {"a": set(INPUTS)}
    await world.until(lambda: world.serving() == ("a", None))
    await world.until(lambda: world.serving() == ("a", ("b", "canary", 5)))


async def test_a_stable_release_that_torchserve_lost_is_loaded_again(world):
    """As when it was promoted a moment before a crash."""
    world.loader.models = {}
    await world.until(lambda: ("load", "a") in world.loader.calls and world.loader.is_proven("a"))
    assert world.serving() == ("a", None)


async def test_whoever_wants_something_else_need_not_wait(world):
    """Loading is given up, and what was loaded so far is unloaded."""
    world.loader.load_s = 60
    world.want("deploy", lambda state: state.deploy("b"))
    await world.until(lambda: "b" in world.loader.models)
    await world.settled(world.want("rollback", lambda state: state.rollback()))
    assert set(world.loader.models) == {"a"}


async def test_a_guardrail_rolls_back_and_says_why(world):
    """Once there are enough queries; the counts are summed over the gateways."""
    await world.settled(world.want("canary", lambda state: state.canary("b", 50)))
    world.gateway.tallies = {"a": Tally(answers=5000), "b": Tally(answers=60, errors=30)}
    await asyncio.sleep(0.1)
    assert world.state.candidate.release == "b"
    world.gateway.tallies["b"] = Tally(answers=600, errors=300)
    await world.until(lambda: world.state.candidate is None)
    await world.settled()
    assert (world.last().verb, world.last().by) == ("rollback", "guardrail")
    assert world.last().why.startswith("error rate 33.33% of 900 queries; stable: 0.00% of 5000")
    assert set(world.loader.models) == {"a"}


async def test_releases_of_others_in_the_same_torchserve_are_left_alone(world):
    """One that runs elsewhere may serve more than these releases."""
    world.loader.models["foreign"] = {"cascade"}
    await world.settled(world.want("deploy", lambda state: state.deploy("b")))
    await world.settled(world.want("rollback", lambda state: state.rollback()))
    assert set(world.loader.models) == {"a", "foreign"}


async def test_a_torchserve_that_cannot_be_managed_is_told_apart(world):
    """The remedy is in the refusal."""
    world.loader.can_load = False
    await world.settled(world.want("deploy", lambda state: state.deploy("b")))
    assert "torchserve.management is not set" in world.last().why


STEPS = {
    "deploy": lambda state: state.deploy("b"),
    "canary": lambda state: state.canary("b", 5),
    "shadow": lambda state: state.shadow("b", 5),
    "promote": lambda state: state.promote("b"),
}


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.03, 0.05, 0.08])
@pytest.mark.parametrize("verb", STEPS)
async def test_it_ends_as_wanted_after_being_killed_in_the_middle(world, verb, after_s):
    """Whenever that happens: another one goes on from the files alone."""
    await world.settled()
    revision = world.want(verb, STEPS[verb])
    await asyncio.sleep(after_s)
    await world.kill()
    world.start()
    await world.settled(revision)
    if verb == "promote":
        assert world.serving() == ("b", None)
        assert set(world.loader.models) == {"b"}
    else:
        mode = "loaded" if verb == "deploy" else verb
        assert world.serving() == ("a", ("b", mode, 0 if verb == "deploy" else 5))
        assert set(world.loader.models) == {"a", "b"}
    assert world.state.revision >= revision


async def test_a_second_deployer_waits_for_the_first(world):
    """Two at once would undo each other's work."""
    await world.settled()
    second = Deployer(world.releases, world.run, FakeLoader("a"), Limits(), lambda _: None)
    second.begin("a")
    task = asyncio.create_task(second.run())
    await world.settled(world.want("deploy", lambda state: state.deploy("b")))
    assert second._loader.calls == []
    first = world.tasks[0]
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await world.until(lambda: second._loader.calls == [("load", "b")])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_torchserve_that_starts_is_no_trouble(world, caplog):
    """Every start takes it a moment; the log would begin with a warning each time."""
    await world.settled()
    world.loader.away = True
    await asyncio.sleep(0.3)
    world.loader.away = False
    await world.settled(world.want("deploy", lambda state: state.deploy("b")))
    assert "not as wanted" not in caplog.text


async def test_a_torchserve_that_stays_away_is_told_of_once(world, caplog, monkeypatch):
    """With the reason, when it has taken longer than a start."""
    monkeypatch.setattr(module, "STARTING_S", 0.1)
    await world.settled()
    world.loader.away = True
    await world.until(lambda: "not as wanted yet: unavailable: TorchServe is away" in caplog.text)
    await asyncio.sleep(0.2)
    assert caplog.text.count("not as wanted") == 1
