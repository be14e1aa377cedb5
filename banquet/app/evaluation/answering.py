"""Who answers evaluation cases: baselines that count, and whatever answers as a gateway does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import numpy as np

from banquet.training.baselines import POPULARITY_SHARE, successions
from banquet.training.evaluate import TOP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from banquet.app.evaluation.cases import Case, Cases, Question

    Lists = list[list[str]]

# Questions under way at once: enough for batches, and no more than a small machine answers in time.
AT_ONCE = 16


class Answerer(Protocol):
    """Answers a case as a caller would be answered: the ids of at most ten items, best first."""

    async def answer(self, question: Question, case: Case) -> Sequence[str]: ...


async def answers(answerer: Answerer, question: Question, done: Callable[[], None] = lambda: None) -> Lists:
    """Of all cases, in order."""
    lists: Lists = [[] for _ in question.cases]
    waiting = iter(enumerate(question.cases))

    async def ask() -> None:
        for place, case in waiting:
            lists[place] = list(await answerer.answer(question, case))
            done()

    await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
    return lists


class Baselines:
    """Popularity and Markov-1 (what most often followed the newest item), of what models may train on, under the same rules."""

    def __init__(self, cases: Cases) -> None:
        self._cases = cases
        self._follows = successions(cases.log, cases.split)

    def popularity(self, question: Question) -> Lists:
        return [self._best(case, self._cases.counts) for case in question.cases]

    def markov(self, question: Question) -> Lists:
        return [self._best(case, self._after(case)) for case in question.cases]

    def _after(self, case: Case) -> NDArray[np.float32]:
        popular = POPULARITY_SHARE * self._cases.counts
        if not case.history:
            return popular
        scores: NDArray[np.float32] = popular + self._follows[self._cases.log.item[case.target - 1]].toarray()[0]
        return scores

    def _best(self, case: Case, scores: NDArray[np.float32]) -> list[str]:
        cases = self._cases
        # A caller's own list is answered whole, with what is not available.
        allowed = np.ones_like(cases.available) if case.item_ids else cases.available.copy()
        if case.allowed is not None:
            allowed &= np.isin(np.arange(len(allowed)), case.allowed)
        if case.history:
            allowed[cases.log.item[cases.history_positions(case.target)]] = False
        rows = np.flatnonzero(allowed)
        best = rows[np.argsort(-scores[rows], kind="stable")[:TOP]]
        return [cases.item_ids[row] for row in best.tolist()]
