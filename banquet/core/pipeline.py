"""A placement's pipeline: users, sources, filters, reserve, scorer, selector, sinks.

Whatever fails or is late costs its own part of the answer, and the answer says so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from banquet.core.candidates import Candidates, joined
from banquet.core.deadline import Lateness
from banquet.core.errors import DeadlineUnmeetable, StageFailed
from banquet.core.query import Degradation, UserFeatures
from banquet.core.stages import Answer, Found, ModelRun, Scored, Selection, Timing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from banquet.core.query import Query
    from banquet.core.stages import Filter, Scorer, Selector, Sink, Source, UserReader

    T = TypeVar("T")

log = logging.getLogger(__name__)

# What the rest of the way to the caller takes: no awaited stage may eat it. Longer deadlines can spare more for a busy machine,
# and where timers fire late, the rest of the way is late, too: twice as much is kept then, up to half of what is left.
REPLY_RESERVE_S = 0.003
REPLY_SHARE = 0.1
LATENESS_TIMES = 2.0
LARGEST_SHARE = 0.5
_NO_MODEL = ModelRun()


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The stages of one placement, in the order a query meets them. `budgets_s` caps awaited stages by name."""

    placement: str
    users: UserReader | None
    sources: Sequence[Source]
    reserve: Source | None
    filters: Sequence[Filter]
    scorer: Scorer | None
    selector: Selector
    sinks: Sequence[Sink] = ()
    budgets_s: Mapping[str, float] = field(default_factory=dict)
    lateness: Lateness = field(default_factory=Lateness)

    async def run(self, query: Query) -> Answer:
        """Answer a query. Raises `DeadlineUnmeetable` when its time was over before it began."""
        if query.deadline.passed():
            raise DeadlineUnmeetable(f"the deadline of request {query.request_id} had passed on arrival; allow more time")
        course = _Course(query, self.budgets_s, self.lateness)
        if query.catalogue.is_stale():
            course.miss("catalogue", "stale")
        if len(query.catalogue.availability.unreadable):
            course.miss("catalogue", "unreadable_available")
        if self.users is not None:
            await course.know(self.users)
        candidates = course.sift(self.filters, await course.find(self.sources))
        if self.reserve is not None and len(candidates) < query.limit:
            candidates = course.sift(self.filters, joined([candidates, *await course.gather([self.reserve])]))
        if len(candidates) < query.limit:
            course.miss("candidates", "short_list")
        if self.scorer is not None and len(candidates):
            candidates = await course.rank(self.scorer, candidates)
        return course.answer(candidates, self.selector)

    def tell(self, answer: Answer) -> None:
        """Hand the answer to the sinks, after it was sent."""
        for sink in self.sinks:
            sink.take(answer)


class _Course:
    """One query's way through a pipeline, and what was lost and spent on it."""

    def __init__(self, query: Query, budgets_s: Mapping[str, float], lateness: Lateness) -> None:
        self.query = query
        self._budgets_s = budgets_s
        self._lateness = lateness
        self._began_s = time.perf_counter()
        self._reply_reserve_s = reply_reserve_s(query.deadline.remaining_s(), lateness.now_s())
        self._degradations: list[Degradation] = []
        self._timings: list[Timing] = []

    async def know(self, users: UserReader) -> None:
        """Attach the user's row; without one the models' defaults stand in."""
        user = await self._guard("users", users.read(self.query.user_id, self.query.context))
        if user is None:
            self.query = self.query.with_user(UserFeatures(self.query.user_id))
            return
        self.query = self.query.with_user(user)
        if not user.found:
            self.miss("users", "unknown_user")
        for note in user.notes:
            self.miss("users", note)

    async def find(self, sources: Sequence[Source]) -> Candidates:
        """What all sources found, at the same time, in the order of the sources."""
        return joined(await self.gather(sources))

    async def gather(self, sources: Sequence[Source]) -> list[Candidates]:
        if len(sources) == 1:
            found = [await self._guard(sources[0].name, sources[0].find(self.query))]
        else:
            found = await asyncio.gather(*(self._guard(source.name, source.find(self.query)) for source in sources))
        return [part.candidates for part in found if part is not None]

    def sift(self, filters: Sequence[Filter], candidates: Candidates) -> Candidates:
        """What every filter keeps; a filter that cannot decide keeps everything and is reported."""
        for stage in filters:
            if len(candidates):
                mask = self._try(stage.name, lambda stage=stage, held=candidates: stage.keep(self.query, held))  # type: ignore[misc]
                candidates = candidates if mask is None or mask.all() else candidates.take(mask)
        return candidates

    async def rank(self, scorer: Scorer, candidates: Candidates) -> Candidates:
        """Scores from the ranking model for whoever has none; without them the order stays as it was."""
        if not np.isnan(candidates.ranking).any():
            return candidates
        scored = await self._guard(scorer.name, scorer.score(self.query, candidates))
        return candidates if scored is None else candidates.ranked(scored.scores)

    def answer(self, candidates: Candidates, selector: Selector) -> Answer:
        selection = self._try(selector.name, lambda: selector.select(self.query, candidates))
        if selection is None:
            selection = Selection(candidates.in_order(self.query.limit))
        picks = candidates.take(selection.picks)
        elapsed_ms = (time.perf_counter() - self._began_s) * 1e3
        return Answer(self.query, picks, candidates, selection, self._degradations, self._timings, elapsed_ms)

    def miss(self, stage: str, reason: str) -> None:
        degradation = Degradation(stage, reason)
        if degradation not in self._degradations:
            self._degradations.append(degradation)

    async def _guard(self, stage: str, work: Awaitable[T]) -> T | None:
        """Await a stage within its budget; late or broken costs its own part of the answer, never the answer."""
        began_s = time.perf_counter()
        remaining_s = self.query.deadline.remaining_s() - self._reply_reserve_s
        budget_s = min(self._budgets_s.get(stage, remaining_s), remaining_s)
        result: T | None = None
        try:
            async with asyncio.timeout(budget_s):
                result = await work
        except TimeoutError:
            self._lateness.note(time.perf_counter() - began_s - max(0.0, budget_s))
            self.miss(stage, "timeout")
        except Exception as error:  # noqa: BLE001 - a stage's bug must not cost the caller the answer
            self._failed(stage, error)
        self._note(stage, began_s, result)
        return result

    def _try(self, stage: str, work: Callable[[], T]) -> T | None:
        began_s = time.perf_counter()
        result: T | None = None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - as in _guard
            self._failed(stage, error)
        self._note(stage, began_s, result)
        return result

    def _failed(self, stage: str, error: Exception) -> None:
        if isinstance(error, StageFailed):
            self.miss(stage, error.reason)
            return
        log.error("stage %s failed on request %s", stage, self.query.request_id, exc_info=error)
        self.miss(stage, "internal_error")

    def _note(self, stage: str, began_s: float, result: object) -> None:
        run = _NO_MODEL
        if isinstance(result, (Found, Scored)):
            run = result.run
            for reason in result.notes:
                self.miss(stage, reason)
        self._timings.append(Timing(stage, (time.perf_counter() - began_s) * 1e3, run))


def reply_reserve_s(remaining_s: float, late_s: float) -> float:
    """What to keep for the end of an answer that has so long, in a process that is so late at present (both in seconds)."""
    return max(REPLY_RESERVE_S, REPLY_SHARE * remaining_s, min(LATENESS_TIMES * late_s, LARGEST_SHARE * remaining_s))
