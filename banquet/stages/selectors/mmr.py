"""Good ones that differ from one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from banquet.core.stages import Selection

if TYPE_CHECKING:
    from banquet.core.candidates import Candidates
    from banquet.core.query import Query
    from banquet.stages.vectors import ItemVectors

# Beyond this many of the best, an item is too weak to be worth its novelty.
POOL = 100


class Mmr:
    """Maximal marginal relevance (Carbonell and Goldstein 1998): a pick's rank weighed against its likeness to earlier picks.

    `diversity` in [0, 1]: 0 is plain top-k, 1 looks at likeness alone. Likeness is the cosine of item vectors.
    """

    name = "mmr"

    def __init__(self, vectors: ItemVectors, diversity: float) -> None:
        self._vectors = vectors
        self._diversity = diversity

    def select(self, query: Query, candidates: Candidates) -> Selection:
        order = candidates.in_order()
        pool = order[: max(POOL, query.limit)]
        vectors = self._vectors.of(query.catalogue)[candidates.rows[pool]]
        likeness = vectors @ vectors.T
        # Ranks, not scores: they are on one scale whatever model gave them.
        relevance = np.linspace(1.0, 0.0, len(pool), dtype=np.float32)
        closest = np.zeros(len(pool), np.float32)
        picks: list[int] = []
        left = np.ones(len(pool), np.bool_)
        for _ in range(min(query.limit, len(pool))):
            worth = (1 - self._diversity) * relevance - self._diversity * closest
            pick = int(np.argmax(np.where(left, worth, -np.inf)))
            picks.append(pick)
            left[pick] = False
            closest = np.maximum(closest, likeness[pick])
        return Selection(pool[np.array(picks, np.intp)])
