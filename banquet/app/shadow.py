"""Asks a candidate what was answered already, and compares; nobody is served by it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import Counter, Histogram

from banquet.core.deadline import Deadline
from banquet.core.query import UserFeatures

if TYPE_CHECKING:
    from banquet.app.live_release import LiveRelease
    from banquet.core.candidates import Scores
    from banquet.core.pipeline import Pipeline
    from banquet.core.stages import Answer

log = logging.getLogger(__name__)

# More at once are dropped: the models are there for those who wait for an answer.
MOST_AT_ONCE = 2
SHARES = tuple(step / 10 for step in range(11))
QUERIES = Counter("banquet_shadow_queries_total", "Queries given to a shadow.", ["release", "placement", "outcome"])
OVERLAP = Histogram(
    "banquet_shadow_overlap", "Share of the items served that the shadow also picked.", ["release", "placement"], buckets=SHARES
)
DIFFERENCE = Histogram(
    "banquet_shadow_score_difference", "Mean absolute difference of the scores of items both picked.", ["release", "placement"]
)
SLOWER = Histogram(
    "banquet_shadow_slower_seconds",
    "By how much the shadow's answer took longer; negative when it was quicker.",
    ["release", "placement"],
    buckets=(-0.1, -0.05, -0.02, -0.01, -0.005, -0.002, 0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1),
)


class Shadow:
    """A few queries at a time, each with the time that the gateway allows at most."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(self, candidate: LiveRelease, pipeline: Pipeline, answer: Answer) -> None:
        """Later, and only if few others are at it."""
        placement = answer.query.placement
        own = candidate.placements.get(placement)
        # Ranking what the caller brought, and items without a user, are not compared.
        if own is None or pipeline.placement != placement:
            return
        if len(self._tasks) >= MOST_AT_ONCE:
            QUERIES.labels(candidate.release, placement, "dropped").inc()
            return
        task = asyncio.get_running_loop().create_task(self._compare(candidate, own, answer), name="shadow")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _compare(self, candidate: LiveRelease, pipeline: Pipeline, served: Answer) -> None:
        query = replace(served.query, deadline=Deadline.after(self._patience_s), user=UserFeatures(""))
        labels = (candidate.release, query.placement)
        try:
            answer = await candidate.answer(pipeline, query)
        except Exception as error:
            log.warning("the shadow %s did not answer: %s", candidate.release, error, exc_info=True)
            QUERIES.labels(*labels, "failed").inc()
            return
        QUERIES.labels(*labels, "compared").inc()
        SLOWER.labels(*labels).observe((answer.elapsed_ms - served.elapsed_ms) / 1e3)
        compared = overlap(served, answer)
        if compared is not None:
            share, difference = compared
            OVERLAP.labels(*labels).observe(share)
            if share:
                DIFFERENCE.labels(*labels).observe(difference)


def overlap(served: Answer, other: Answer) -> tuple[float, float] | None:
    """Share of the served items that the other answer has as well, and their scores' mean absolute difference.

    None when nothing was served. Both answers are of the same catalogue.
    """
    if not len(served.picks):
        return None
    _, ours, theirs = np.intersect1d(served.picks.rows, other.picks.rows, return_indices=True)
    if not len(ours):
        return 0.0, 0.0
    difference = np.abs(_final(served)[ours] - _final(other)[theirs]).mean()
    return len(ours) / len(served.picks), float(difference)


def _final(answer: Answer) -> Scores:
    """The scores that callers see."""
    picks = answer.picks
    return np.where(np.isnan(picks.ranking), picks.scores, picks.ranking)
