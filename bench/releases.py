"""`python -m bench releases`: what callers notice of releases that are deployed, tried, promoted and rolled back under load."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from banquet.releases import registry
from banquet.releases.archive import build
from banquet.releases.manifest import load
from banquet.training.train import TrainingOrder, train
from banquet.v1 import recommendation_pb2 as pb
from bench import report, stacks, workspace
from bench.load import Target, fire, percentile
from bench.measure import METHOD

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Awaitable, Callable, Sequence

    from banquet.app.settings import Settings

SEED = 8
LIMIT = 20
SETTLED_S = 2.0
VERB_S = 300.0
# Batches of other sizes round otherwise; the scores of two releases are further apart.
SAME_SCORE = 1e-3
SAME_ITEMS = 0.9
# One request in so many is of two model calls; a page of an item is asked for less often than the first page.
EVERY_DETAIL = 5


def add_arguments(parser: ArgumentParser) -> None:
    workspace.add_arguments(parser)
    parser.add_argument("--rate", type=float, default=200.0, help="requests per second")
    parser.add_argument(
        "--rounds", type=int, default=10, help="times that a release is deployed, tried, promoted and rolled back"
    )
    parser.add_argument("--quiet", type=float, default=15.0, help="seconds of quiet load before each round")


def run(arguments: Namespace) -> None:
    settings = workspace.prepare(arguments)
    stable, other = two_releases(settings, arguments.preset)
    requests = mixed_requests(settings, arguments.users, arguments.limit)
    rollouts = Rollouts(settings, requests, arguments.rate, arguments.connections)
    workload = {name: getattr(arguments, name) for name in ("rate", "rounds", "quiet", "users", "limit", "connections")}
    found = report.circumstances(workload | workspace.facts(settings))

    def keep() -> None:
        """A round takes a minute: what was measured by now is there whatever becomes of the next."""
        found.update(rollouts.summary())
        report.write(found, arguments.json)

    with stacks.banquet_up(settings, arguments.settings) as served:
        asyncio.run(rollouts.run(served.address, [stable, other], arguments.rounds, arguments.quiet, keep))
    print(json.dumps({name: found[name] for name in ("p99_ratio", "quiet", "rollouts", "verbs_s", "mixed")}, indent=1))


def two_releases(settings: Settings, preset: str) -> tuple[str, str]:
    """The stable release and one more, trained with another seed if there is none; both with their archives."""
    if len(registry.versions(settings.releases)) == 1:
        train(TrainingOrder(settings.workspace / "data", settings.releases, preset, SEED))
    stable = registry.resolve(settings.releases).name
    other = next(version for version in reversed(registry.versions(settings.releases)) if version != stable)
    for version in (stable, other):
        build(settings.releases / version, settings.model_store)
    return stable, other


def mixed_requests(settings: Settings, users: int, limit: int) -> list[bytes]:
    """Most at `home`, one model call; one in `EVERY_DETAIL` at `detail`, two calls that could be of two releases."""
    known = pq.read_table(settings.workspace / "data" / "users.parquet", columns=["user_id"])["user_id"].to_pylist()
    # Nothing is like an item that the models have never seen.
    items = load(registry.resolve(settings.releases)).schema.item_ids
    draw = random.Random(SEED)
    requests = []
    for number, user in enumerate(draw.sample(known, min(users, len(known))), 1):
        request = pb.RecommendRequest(user_id=user, placement="home", limit=limit)
        if number % EVERY_DETAIL == 0:
            request.placement = "detail"
            request.context.item_id = draw.choice(items)
        requests.append(request.SerializeToString())
    return requests


@dataclass
class Phase:
    """Answers with the numbers of their requests, and failed calls by status."""

    answers: list[tuple[int, float, bytes]] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    def of(self, number: int) -> _Numbered:
        return _Numbered(self, number)

    def percentile_ms(self, percent: float) -> float:
        return percentile((latency_s for _, latency_s, _ in self.answers), percent) * 1e3

    def summary(self) -> dict[str, Any]:
        return {
            "answered": len(self.answers),
            "failures": dict(self.failures),
            **{f"p{percent:g}_ms": self.percentile_ms(percent) for percent in (50, 90, 99, 99.9, 100)},
        }


@dataclass(frozen=True, slots=True)
class _Numbered:
    phase: Phase
    number: int

    def answered(self, due_s: float, late_s: float, answer: bytes) -> None:  # noqa: ARG002 - as in Record
        self.phase.answers.append((self.number, time.perf_counter() - due_s, answer))

    def failed(self, due_s: float, code: str) -> None:  # noqa: ARG002 - as in Record
        self.phase.failures[code] += 1


class NumberedTarget(Target):
    """Tells the phase which request an answer is for."""

    async def call(self, number: int, due_s: float, record: Any) -> None:
        await super().call(number, due_s, record.of(number % len(self._requests)))


class Rollouts:
    """Phases of the same load, quiet ones and such in which releases come and go; every answer is compared with its release's."""

    def __init__(self, settings: Settings, requests: Sequence[bytes], rate_per_s: float, connections: int) -> None:
        self._settings = settings
        self._requests = requests
        self._rate_per_s = rate_per_s
        self._connections = connections
        self.quiet, self.rollouts = Phase(), Phase()
        self._per_round: list[tuple[float, float]] = []
        self._verbs_s: dict[str, list[float]] = defaultdict(list)
        # By release: the scores by item of each request's answer.
        self._expected: dict[str, list[dict[str, float]]] = {}

    async def run(
        self, address: str, releases: Sequence[str], rounds: int, quiet_s: float, after_round: Callable[[], None] = lambda: None
    ) -> None:
        async with NumberedTarget(address, METHOD, self._requests, connections=self._connections) as target:
            await self._learn(target, releases[0])
            await self._verb("promote", releases[1])
            await self._learn(target, releases[1])
            self._verbs_s.clear()
            stable, other = releases[1], releases[0]
            for number in range(rounds):
                quiet, busy = Phase(), Phase()
                await self._load(target, quiet, asyncio.sleep(quiet_s), number)
                await self._load(target, busy, self._round(other), number + 1000)
                self._per_round.append((quiet.percentile_ms(99), busy.percentile_ms(99)))
                for total, one in ((self.quiet, quiet), (self.rollouts, busy)):
                    total.answers += one.answers
                    total.failures += one.failures
                after_round()
            assert registry.resolve(self._settings.releases).name == stable, "it was rolled back"

    async def load_until(self, address: str, true: Callable[[], bool]) -> Phase:
        """Load until something is true."""

        async def watch() -> None:
            while not true():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.1)

        phase = Phase()
        async with NumberedTarget(address, METHOD, self._requests, connections=self._connections) as target:
            await self._load(target, phase, asyncio.wait_for(watch(), VERB_S), 0)
        return phase

    async def _round(self, other: str) -> None:
        await self._verb("deploy", other)
        await self._verb("canary", "--percent", "50")
        await asyncio.sleep(SETTLED_S)
        await self._verb("promote")
        await asyncio.sleep(SETTLED_S)
        await self._verb("rollback")

    async def _load(self, target: NumberedTarget, phase: Phase, work: Awaitable[None], seed: int) -> None:
        """Load for as long as the work takes."""
        load = asyncio.create_task(fire(target, phase, rate_per_s=self._rate_per_s, seconds=VERB_S * 2, seed=seed))  # type: ignore[arg-type]
        try:
            await work
        finally:
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)

    async def _verb(self, verb: str, *words: str) -> None:
        """As a person types it. Raises `NotStarted` with what it said when it fails."""
        places = ["--releases", str(self._settings.releases), "--json"]
        if verb != "rollback":
            places += ["--model-store", str(self._settings.model_store)]
        command = [sys.executable, "-c", "from banquet.app.cli import main; main()", "release", verb, *words, *places]
        began_s = time.perf_counter()
        child = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        _, errors = await asyncio.wait_for(child.communicate(), VERB_S)
        if child.returncode:
            raise stacks.NotStarted(f"banquet release {verb} ended with {child.returncode}: {errors.decode()[-2000:]}")
        self._verbs_s[verb].append(time.perf_counter() - began_s)

    async def _learn(self, target: NumberedTarget, release: str) -> None:
        """What the stable release answers to every request."""
        known = []
        for number in range(len(self._requests)):
            phase = Phase()
            answer = pb.RecommendResponse()
            for _ in range(50):
                await target.call(number, time.perf_counter(), phase)
                if phase.answers:
                    answer = pb.RecommendResponse.FromString(phase.answers[-1][2])
                    if answer.info.release == release and not answer.info.degradations:
                        break
                await asyncio.sleep(0.05)
            else:
                raise stacks.NotStarted(f"release {release} gives no whole answer to request {number}: {answer.info}")
            known.append({item.item_id: item.score for item in answer.items})
        self._expected[release] = known

    def mixed(self, phase: Phase) -> dict[str, int]:
        """Answers by release; whole ones that are not what the release they name answers; and those that lack something."""
        found: Counter[str] = Counter()
        for number, _, body in phase.answers:
            answer = pb.RecommendResponse.FromString(body)
            found[f"of {answer.info.release or 'none'}"] += 1
            if answer.info.degradations:
                found["degraded"] += 1
                found.update(f"degraded: {lost.stage}/{lost.reason}" for lost in answer.info.degradations)
                continue
            items = {item.item_id: item.score for item in answer.items}
            found["mixed"] += not same_answer(items, self._expected[answer.info.release][number])
        return {"mixed": 0, "degraded": 0, **found}

    def summary(self) -> dict[str, Any]:
        ratios = [busy / quiet for quiet, busy in self._per_round]
        return {
            "p99_ratio": self.rollouts.percentile_ms(99) / self.quiet.percentile_ms(99),
            "p99_ratio_median_of_rounds": percentile(ratios, 50),
            "p99_ms_per_round": [{"quiet": quiet, "rollouts": busy} for quiet, busy in self._per_round],
            "quiet": self.quiet.summary(),
            "rollouts": self.rollouts.summary(),
            "mixed": {"quiet": self.mixed(self.quiet), "rollouts": self.mixed(self.rollouts)},
            "verbs_s": {verb: {"p50": percentile(took, 50), "max": max(took)} for verb, took in self._verbs_s.items()},
        }


def same_answer(items: dict[str, float], expected: dict[str, float]) -> bool:
    """Whether an answer is the expected one but for rounding: near ties may come in another order or fall off the end."""
    common = items.keys() & expected.keys()
    return len(common) >= SAME_ITEMS * len(expected) and all(abs(items[item] - expected[item]) < SAME_SCORE for item in common)
