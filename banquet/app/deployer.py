"""The deployer: a task of `banquet up` that makes the wanted state of the releases so, step by step and again after any crash.

Load beside what serves, prove by canaries, let the gateways open it, share the users out, promote, drain, unload. What cannot be
served is refused, and the release before serves on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from banquet.app.canary import INPUTS
from banquet.app.serving_file import (
    DeployerReport,
    Serving,
    read_gateways,
    read_serving,
    tallies_of,
    write_deployer,
    write_serving,
)
from banquet.core.errors import BadRelease, StageFailed
from banquet.releases import rollout_file
from banquet.releases.guardrails import Limits, complaint
from banquet.releases.tally import added

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from banquet.app.loader import Loader
    from banquet.app.serving_file import GatewayReport
    from banquet.releases.rollout import By, Candidate, Rollout, Verb

log = logging.getLogger(__name__)

LOOK_S = 0.2
# Between looks at what TorchServe has, when nothing is to be done: it may have been started anew.
INSPECT_S = 2.0
GUARD_S = 1.0
# TorchServe takes as long to listen, at every start: no trouble yet.
STARTING_S = 15.0
TRIES = 3
OPENING_S = 60.0
DRAINING_S = 10.0
GUARDED = ("canary", "shadow")
MODELS = set(INPUTS)


class Superseded(Exception):
    """Someone wants something else by now."""


class Deployer:
    """`on_stable` is told of a new stable release, for whoever must start it after a crash."""

    def __init__(self, releases: Path, run: Path, loader: Loader, limits: Limits, on_stable: Callable[[str], None]) -> None:
        self._releases = releases
        self._run = run
        self._loader = loader
        self._limits = limits
        self._on_stable = on_stable
        self._serving = Serving(0, "")
        self._inspected_s = 0.0
        self._looked_at = -1
        self._guarded_s = 0.0
        self._settled = -1
        self._step = ""
        self._trouble = ""
        self._well_s = time.monotonic()
        self._tries: dict[str, int] = {}

    def begin(self, stable: str) -> None:
        """Tell the gateways, before they start, what is there from the start."""
        if rollout_file.has_deployer(self._releases):
            # It tells them, and this one will when that is gone.
            return
        before = read_serving(self._run)
        self._serving = Serving(0 if before is None else before.sequence, "")
        self._publish(stable, None)
        self._say("starting")

    async def run(self) -> None:
        """Reconcile for ever, if nobody else does it for these releases."""
        while True:
            with rollout_file.deploying(self._releases) as alone:
                if alone:
                    # What the gateways were told last, whoever told them.
                    self._serving = read_serving(self._run) or self._serving
                while alone:
                    await self._look()
                    await asyncio.sleep(LOOK_S)
            await asyncio.sleep(INSPECT_S)

    async def close(self) -> None:
        await self._loader.close()

    async def _look(self) -> None:
        try:
            wanted = rollout_file.read(self._releases)
            self._guard(wanted)
            if wanted.revision != self._looked_at or time.monotonic() - self._inspected_s > INSPECT_S:
                wanted = rollout_file.read(self._releases)
                self._looked_at, self._inspected_s = wanted.revision, time.monotonic()
                await self._reconcile(wanted)
        except Superseded:
            return
        except (StageFailed, BadRelease, OSError) as error:
            # TorchServe may be starting, a file be written: a later look goes on from where this one was.
            starting = isinstance(error, StageFailed) and time.monotonic() - self._well_s < STARTING_S
            if str(error) != self._trouble and not starting:
                log.warning("the releases are not as wanted yet: %s", error)
                self._trouble = str(error)
            self._say(f"waiting: {error}")
        except Exception:
            log.exception("a bug in the deployer; it goes on")

    async def _reconcile(self, wanted: Rollout) -> None:
        """From whatever is loaded now to what is wanted; every step is found out again, so that none depends on memory."""
        loaded = await self._loader.loaded() if self._loader.can_load else {}
        if wanted.stable != self._serving.stable or (self._loader.can_load and loaded.get(wanted.stable) != MODELS):
            await self._bring(wanted, wanted.stable)
            self._on_stable(wanted.stable)
            self._publish(wanted.stable, None)
        candidate = wanted.candidate
        if candidate is not None:
            if not await self._admitted(wanted, candidate):
                return
            if candidate.mode == "promote":
                self._promote(candidate)
                return
        self._publish(wanted.stable, candidate)
        await self._clear(wanted)
        self._trouble, self._well_s = "", time.monotonic()
        self._say("", wanted.revision)

    async def _admitted(self, wanted: Rollout, candidate: Candidate) -> bool:
        """Whether the candidate is loaded and open; what cannot be served is refused."""
        if self._serving.candidate is not None and not self._loader.is_proven(candidate.release):
            # TorchServe has lost it: its share is the stable release's until it is back.
            self._publish(wanted.stable, None)
        try:
            await self._bring(wanted, candidate.release)
        except BadRelease as error:
            self._refuse(candidate, str(error))
            return False
        except StageFailed as failed:
            tries = self._tries[candidate.release] = self._tries.get(candidate.release, 0) + 1
            if tries < TRIES or failed.reason == "no_catalogue":
                raise
            self._refuse(candidate, f"loading it failed {tries} times, at last with: {failed}")
            return False
        self._tries.pop(candidate.release, None)
        return True

    async def _bring(self, wanted: Rollout, release: str) -> None:
        """Loaded, proven, and open in every gateway. Raises `BadRelease` when it cannot be served."""
        if not self._loader.is_proven(release):
            if not self._loader.can_load:
                if release == wanted.stable:
                    return
                raise BadRelease("torchserve.management is not set, so nothing can be loaded there; set it, or load it yourself")
            await self._unless_superseded(wanted, self._loader.load(release, lambda step: self._say(f"{release}: {step}")))
        if release not in self._serving.opens:
            self._publish(self._serving.stable or release, self._serving.candidate, also=release)
        await self._unless_superseded(wanted, self._opened(release))

    async def _opened(self, release: str) -> None:
        self._say(f"{release}: the gateways open it")
        until_s = time.monotonic() + OPENING_S
        while True:
            reports = read_gateways(self._run)
            failed = next((report.failed[release] for report in reports if release in report.failed), "")
            if failed:
                raise BadRelease(f"a gateway could not open it: {failed}")
            if all(release in report.opened for report in reports):
                return
            if time.monotonic() > until_s:
                raise BadRelease(f"the gateways did not open it within {OPENING_S:.0f} s; see their logs")
            await asyncio.sleep(LOOK_S / 4)

    async def _unless_superseded(self, wanted: Rollout, work: Coroutine[Any, Any, None]) -> None:
        """The work, given up as soon as something else is wanted."""
        task = asyncio.create_task(work)
        try:
            while not task.done():
                await asyncio.wait([task], timeout=LOOK_S)
                if not task.done() and rollout_file.read(self._releases).revision != wanted.revision:
                    raise Superseded
            task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _promote(self, candidate: Candidate) -> None:
        """Noted first: from then on the release is stable, whatever happens; the next look tells the gateways."""
        rollout_file.change(
            self._releases,
            "promoted",
            candidate.release,
            lambda state: state.promoted() if state.candidate == candidate else state,
            by="deployer",
        )

    def _refuse(self, candidate: Candidate, why: str) -> None:
        log.error("release %s is refused: %s", candidate.release, why)
        self._tries.pop(candidate.release, None)
        self._drop(candidate, "refused", why, "deployer")

    async def _clear(self, wanted: Rollout) -> None:
        """Unload what is neither stable nor candidate, once no gateway has a query of it in flight."""
        if not self._loader.can_load:
            return
        kept = {wanted.stable, wanted.candidate.release if wanted.candidate else ""}
        for release in await self._loader.loaded():
            # A TorchServe elsewhere may have what is none of ours.
            if release in kept or not (self._releases / release).is_dir():
                continue
            self._say(f"{release}: draining")
            await self._drained(release)
            self._say(f"{release}: unloading")
            await self._loader.make_default(wanted.stable)
            await self._loader.unload(release)
            log.info("release %s is unloaded", release)

    async def _drained(self, release: str) -> None:
        until_s = time.monotonic() + DRAINING_S
        while time.monotonic() < until_s:
            reports = read_gateways(self._run)
            if all(report.sequence >= self._serving.sequence and release not in report.opened for report in reports):
                return
            await asyncio.sleep(LOOK_S / 4)
        log.warning(
            "release %s is unloaded though a gateway did not say within %.0f s that it is done with it", release, DRAINING_S
        )

    def _guard(self, wanted: Rollout) -> None:
        """Roll a candidate back that does too badly."""
        candidate = wanted.candidate
        due = time.monotonic() - self._guarded_s > GUARD_S
        if candidate is None or candidate.mode not in GUARDED or candidate != self._serving.candidate or not due:
            return
        self._guarded_s = time.monotonic()
        why = self._complaint(candidate, wanted.stable, read_gateways(self._run))
        if why:
            log.error("release %s is rolled back: %s", candidate.release, why)
            self._drop(candidate, "rollback", why, "guardrail")

    def _complaint(self, candidate: Candidate, stable: str, reports: list[GatewayReport]) -> str:
        theirs, ours = (added(tallies_of(reports, release, self._serving.phase)) for release in (candidate.release, stable))
        return complaint(theirs, ours, self._limits, shadow=candidate.mode == "shadow")

    def _drop(self, candidate: Candidate, verb: Verb, why: str, by: By) -> None:
        rollout_file.change(
            self._releases,
            verb,
            candidate.release,
            lambda state: state.rollback() if state.candidate == candidate else state,
            why=why,
            by=by,
        )

    def _publish(self, stable: str, candidate: Candidate | None, also: str = "") -> None:
        """Tell the gateways, if it is news to them. Tallies begin anew when who serves whom changes."""
        opens = tuple(dict.fromkeys(name for name in (stable, candidate.release if candidate else "", also) if name))
        before = self._serving
        if (stable, candidate, opens) == (before.stable, before.candidate, before.opens):
            return
        sequence = before.sequence + 1
        changed = (stable, candidate) != (before.stable, before.candidate)
        self._serving = Serving(sequence, stable, candidate, opens, sequence if changed else before.phase)
        write_serving(self._run, self._serving)

    def _say(self, step: str, settled: int | None = None) -> None:
        told = (self._settled if settled is None else settled, step)
        if told != (self._settled, self._step):
            self._settled, self._step = told
            write_deployer(self._run, DeployerReport(time.time(), *told))
