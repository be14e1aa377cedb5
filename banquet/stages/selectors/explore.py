"""Leaves some places to chance, so that what nobody would have been shown can be learned about."""

from __future__ import annotations

from functools import lru_cache
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from banquet.core.stages import Selection

if TYPE_CHECKING:
    from banquet.core.candidates import Candidates, Scores
    from banquet.core.query import Query
    from banquet.core.stages import Selector


class Explore:
    """Each place is given up with the chance `share`; a place given up goes to any of the `pool` best that found no other.

    The places kept hold what the inner selector puts first, in its order. Which and how many places are given up is independent
    of the items, so that every candidate's chance to be shown is known exactly.
    """

    def __init__(self, inner: Selector, share: float, pool: int, rng: np.random.Generator | None = None) -> None:
        self.name = inner.name
        self._inner = inner
        self._share = share
        self._pool = pool
        self._rng = rng or np.random.default_rng()

    def select(self, query: Query, candidates: Candidates) -> Selection:
        best = self._inner.select(query, candidates).picks
        rest = candidates.in_order()
        order = np.concatenate([best, rest[~np.isin(rest, best)]])[: max(self._pool, len(best))]
        given_up = self._rng.random(len(best)) < self._share
        kept = len(best) - int(given_up.sum())
        picks = np.empty(len(best), np.intp)
        picks[~given_up] = order[:kept]
        picks[given_up] = self._rng.choice(order[kept:], len(best) - kept, replace=False)
        chances = np.zeros(len(candidates), np.float32)
        chances[order] = chances_of(len(best), len(order), self._share)
        return Selection(picks, chances)


@lru_cache(256)
def chances_of(places: int, pool: int, share: float) -> Scores:
    """How likely the candidate of each rank [pool] is to be shown at all: summed over how many places may be given up."""
    chances = np.zeros(pool, np.float64)
    for given_up in range(places + 1):
        likely = comb(places, given_up) * share**given_up * (1 - share) ** (places - given_up)
        kept = places - given_up
        chances[:kept] += likely
        if given_up:
            chances[kept:] += likely * given_up / (pool - kept)
    return chances.astype(np.float32)
