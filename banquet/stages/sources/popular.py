"""The most interacted-with items: always there, the answer when everything else is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from banquet.core.candidates import Candidates
from banquet.core.errors import StageFailed
from banquet.core.stages import Found
from banquet.stages.user_rows import allowed

if TYPE_CHECKING:
    from banquet.core.candidates import Rows, Scores
    from banquet.core.catalogue import Catalogue
    from banquet.core.query import Query


class Popular:
    """The available items with the highest `column` among those the query's exclusions and filters allow.

    A catalogue without the column still gives its first items, and the answer says `missing_column`.
    """

    name = "popular"

    def __init__(self, limit: int, column: str = "interaction_count") -> None:
        self._limit = limit
        self._column = column

    async def find(self, query: Query) -> Found:
        rows, scores, notes = self.ordered(query.catalogue)
        # Cut only after what the filters would drop: this source must not run dry while the catalogue has something.
        picks = np.flatnonzero(allowed(query)[rows])[: self._limit]
        return Found(Candidates.of(self.name, rows[picks], scores[picks]), notes=notes)

    def ordered(self, catalogue: Catalogue) -> tuple[Rows, Scores, tuple[str, ...]]:
        """Every available row with its count, the highest first, and notes; made once per catalogue."""
        parts = ["ids", "column:available", f"column:{self._column}"]
        return catalogue.once(("popular", self._column), parts, lambda: self._order(catalogue))

    def _order(self, catalogue: Catalogue) -> tuple[Rows, Scores, tuple[str, ...]]:
        try:
            counts = np.nan_to_num(catalogue.column(self._column).values.astype(np.float32))
            notes: tuple[str, ...] = ()
        except StageFailed as failed:
            counts, notes = np.zeros(len(catalogue), np.float32), (failed.reason,)
        available = catalogue.available()
        order = np.argsort(-counts, kind="stable")
        rows: Rows = order[available[order]].astype(np.int32)
        return rows, counts[rows], notes
