"""The releases that a gateway serves: it follows the deployer's file, and gives every query one release from start to end."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from banquet.api.operations import ServedRelease
from banquet.app.serving_file import SERVING, GatewayReport, Serving, read_serving, write_gateway
from banquet.core.errors import BanquetError
from banquet.core.evaluation_users import is_evaluation_user
from banquet.releases.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

    from banquet.app.live_release import LiveRelease
    from banquet.app.shadow import Shadow
    from banquet.core.pipeline import Pipeline
    from banquet.core.stages import Answer
    from banquet.feedback.events import Event

log = logging.getLogger(__name__)

LOOK_S = 0.05
REPORT_S = 1.0
# A release that cannot be opened is tried again; it may have been short of memory.
AGAIN_S = 5.0


class LiveReleases:
    """Opens and closes releases as the deployer asks, and reports what it has open and how each of them does.

    `run` is the folder of the deployer's file; None: the one release stays.
    """

    def __init__(
        self, open_release: Callable[[str], Awaitable[LiveRelease]], shadow: Shadow, run: Path | None, name: str
    ) -> None:
        self._open_release = open_release
        self._shadow = shadow
        self._run = run
        self._name = name
        self._open: dict[str, LiveRelease] = {}
        self._failed: dict[str, str] = {}
        self._serving = Serving(0, "")
        self._looked_at: tuple[int, int] | None = None
        self._wanted: Serving | None = None
        self._reported_s = 0.0
        self._retry_s = 0.0
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self, first: str) -> None:
        """Open the stable release, `first` unless the deployer names another. Raises `BadRelease` when it cannot be opened."""
        told = None if self._run is None else read_serving(self._run)
        serving = told or Serving(0, first, opens=(first,))
        self._open[serving.stable] = await self._open_release(serving.stable)
        self._serving = Serving(0, serving.stable)
        await self._follow_on()

    @property
    def stable(self) -> LiveRelease:
        return self._open[self._serving.stable]

    @property
    def candidate(self) -> LiveRelease | None:
        candidate = self._serving.candidate
        return None if candidate is None else self._open.get(candidate.release)

    @property
    def serving(self) -> Serving:
        return self._serving

    def all(self) -> list[LiveRelease]:
        """The stable one first."""
        return [self.stable, *(live for live in self._open.values() if live is not self.stable)]

    def served(self) -> list[ServedRelease]:
        """For whoever asks how things stand."""
        return [self._as_served(live) for live in self.all()]

    def of(self, user_id: str) -> LiveRelease:
        """The release that serves a user."""
        candidate, told = self.candidate, self._serving.candidate
        if candidate is None or told is None or told.mode != "canary" or not self._serving.gives_candidate(user_id):
            return self.stable
        return candidate

    def answered(self, release: LiveRelease, pipeline: Pipeline, answer: Answer) -> None:
        """After an answer was sent: tell the sinks, and let a shadow try itself at the query of a real user."""
        pipeline.tell(answer)
        candidate, told = self.candidate, self._serving.candidate
        if (
            candidate is not None
            and told is not None
            and told.mode == "shadow"
            and release is not candidate
            and self._serving.gives_candidate(answer.query.user_id)
            and not is_evaluation_user(answer.query.user_id)
        ):
            self._shadow.follow(candidate, pipeline, answer)

    def count(self, events: Iterable[Event]) -> None:
        """Impressions and clicks of real users, for the release that serves their user."""
        for event in events:
            if event.type in {"impression", "click"} and not is_evaluation_user(event.user_id):
                tally = self.of(event.user_id).tally
                tally.impressions += event.type == "impression"
                tally.clicks += event.type == "click"

    async def follow(self) -> None:
        """Follow for ever."""
        while True:
            try:
                await self._follow_on()
            except Exception:
                # What is open goes on serving, and the next look may go better.
                log.exception("the releases cannot be followed")
            await asyncio.sleep(LOOK_S)

    async def close(self) -> None:
        await self._shadow.close()
        for closing in self._closing:
            closing.cancel()
        for live in self._open.values():
            await live.close()

    def _as_served(self, live: LiveRelease) -> ServedRelease:
        told, tally = self._serving.candidate, live.tally
        state, percent = "leaving", 0.0
        if live is self.stable:
            state = "stable"
            percent = 100 - (told.percent if told is not None and told.mode == "canary" and self.candidate else 0.0)
        elif live.release in self._serving.opens:
            state = "loaded"
            if told is not None and live.release == told.release:
                state, percent = told.mode, told.percent
        return ServedRelease(live.release, state, live.placements, percent, tally.answers, tally.errors, tally.degraded)

    async def _follow_on(self) -> None:
        if self._run is None:
            return
        if self._changed():
            self._wanted = read_serving(self._run) or self._wanted
            self._retry_s = 0.0
        wanted = self._wanted
        behind = wanted is not None and (wanted.sequence != self._serving.sequence or self._failed)
        if wanted is not None and behind and time.monotonic() > self._retry_s:
            await self._adopt(wanted)
            self._report()
        elif time.monotonic() - self._reported_s >= REPORT_S:
            self._report()

    def _changed(self) -> bool:
        assert self._run is not None, "it is followed"
        try:
            state = (self._run / SERVING).stat()
        except OSError:
            return False
        seen = (state.st_mtime_ns, state.st_ino)
        changed, self._looked_at = seen != self._looked_at, seen
        return changed

    async def _adopt(self, wanted: Serving) -> None:
        """Open first, then switch, then close: at every moment there is a release to serve with."""
        self._failed = {}
        for release in wanted.opens:
            if release not in self._open:
                await self._try_to_open(release)
        self._retry_s = time.monotonic() + AGAIN_S
        if wanted.stable not in self._open:
            return
        if wanted.phase != self._serving.phase:
            for live in self._open.values():
                live.tally = Tally()
        if (wanted.stable, wanted.candidate) != (self._serving.stable, self._serving.candidate):
            log.info("serving release %s; candidate: %s", wanted.stable, wanted.candidate)
        self._serving = wanted
        for release in [release for release in self._open if release not in (*wanted.opens, wanted.stable)]:
            closing = asyncio.create_task(self._close_when_idle(release), name=f"close release {release}")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _try_to_open(self, release: str) -> None:
        try:
            self._open[release] = await self._open_release(release)
        except (BanquetError, OSError, MemoryError) as error:
            self._failed[release] = str(error) or type(error).__name__
            log.error("release %s cannot be opened: %s", release, self._failed[release])  # noqa: TRY400 - it says it all

    async def _close_when_idle(self, release: str) -> None:
        """When its last query is answered; not if it is wanted again by then."""
        live = self._open[release]
        while live.in_flight:  # noqa: ASYNC110 - a query need not wake anybody
            await asyncio.sleep(LOOK_S / 5)
        if release in (*self._serving.opens, self._serving.stable):
            return
        if self._open.pop(release, None) is not None:
            await live.close()
        self._report()

    def _report(self) -> None:
        assert self._run is not None, "it is followed"
        self._reported_s = time.monotonic()
        serving = self._serving
        tallies = {release: live.tally for release, live in self._open.items()}
        report = GatewayReport(time.time(), serving.sequence, serving.phase, tuple(self._open), dict(self._failed), tallies)
        write_gateway(self._run, self._name, report)
