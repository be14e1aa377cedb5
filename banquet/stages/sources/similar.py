"""Candidates near one item: the nearest item vectors of the release."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from banquet.core.candidates import Candidates
from banquet.core.errors import StageFailed
from banquet.core.stages import Found, ModelRun
from banquet.stages.user_rows import allowed
from banquet.stages.vectors import FEW

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from banquet.core.candidates import Rows, Scores
    from banquet.core.catalogue import Catalogue
    from banquet.core.query import Query
    from banquet.stages.vectors import ItemVectors

    Look: TypeAlias = Callable[[Catalogue, int], tuple[Rows, Scores]]


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
        if not self._vectors.of(query.catalogue)[row].any():
            raise StageFailed("no_item_vector")
        if row in self._vectors.known(query.catalogue):
            rows, cosines = self._vectors.near(query.catalogue, row)
        else:
            rows, cosines = await self._look(self._vectors.near, query.catalogue, row)
        picks = self._picks(query, rows)
        if len(picks) < self._limit and len(rows) < len(query.catalogue) - 1:
            # The filters left too little of the nearest.
            rows, cosines = await self._look(self._vectors.all_by_nearness, query.catalogue, row)
            picks = self._picks(query, rows)
        return Found(Candidates.of(self.name, rows[picks], cosines[picks]), ModelRun(release=self._vectors.release))

    async def _look(self, look: Look, catalogue: Catalogue, row: int) -> tuple[Rows, Scores]:
        """Beside the other queries, when it takes a while."""
        if len(catalogue) <= FEW:
            return look(catalogue, row)
        return await asyncio.to_thread(look, catalogue, row)

    def _picks(self, query: Query, rows: Rows) -> NDArray[np.intp]:
        return np.flatnonzero(query.catalogue.available(rows) & allowed(query, rows))[: self._limit]
