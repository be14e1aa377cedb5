"""Candidates near one item: the nearest item vectors of the release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from banquet.core.candidates import Candidates
from banquet.core.errors import StageFailed
from banquet.core.stages import Found, ModelRun
from banquet.stages.user_rows import allowed

if TYPE_CHECKING:
    from banquet.core.candidates import Rows, Scores
    from banquet.core.query import Query
    from banquet.stages.vectors import ItemVectors


class Similar:
    """The available items with the highest cosine to the item on the page, or else to the newest item of the history."""

    name = "similar"

    def __init__(self, vectors: ItemVectors, limit: int) -> None:
        self._vectors = vectors
        self._limit = limit

    async def find(self, query: Query) -> Found:
        anchor = query.item_id or next(iter(query.user.history), "")
        if not anchor:
            raise StageFailed("no_anchor_item")
        row = int(query.catalogue.rows_of([anchor])[0])
        if row < 0:
            raise StageFailed("unknown_item")
        vectors = self._vectors.of(query.catalogue)
        if not vectors[row].any():
            raise StageFailed("no_item_vector")
        cosines = vectors @ vectors[row]
        cosines[~(query.catalogue.available() & allowed(query))] = -np.inf
        cosines[row] = -np.inf
        nearest = _top(cosines, self._limit)
        return Found(Candidates.of(self.name, nearest, cosines[nearest]), ModelRun(release=self._vectors.release))


def _top(scores: Scores, limit: int) -> Rows:
    limit = min(limit, int(np.isfinite(scores).sum()))
    chosen = np.argpartition(-scores, max(limit - 1, 0))[:limit]
    return chosen[np.argsort(-scores[chosen], kind="stable")].astype(np.int32)
