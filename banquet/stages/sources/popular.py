"""The most interacted-with items: always there, the answer when everything else is gone."""

from __future__ import annotations

from dataclasses import dataclass
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


# The first so many are ordered with every version of the catalogue; the rest only when the filters of a query leave too few.
FIRST = 8192


@dataclass(frozen=True, slots=True)
class Ordered:
    """Available rows, the highest count first; `whole` when they are all there are. `notes` say what they lack."""

    rows: Rows
    counts: Scores
    whole: bool
    notes: tuple[str, ...] = ()


class Popular:
    """The available items with the highest `column` among those the query's exclusions and filters allow.

    A catalogue without the column still gives its first items, and the answer says `missing_column`.
    """

    name = "popular"

    def __init__(self, limit: int, column: str = "interaction_count") -> None:
        self._limit = limit
        self._column = column

    async def find(self, query: Query) -> Found:
        ordered = self.first(query.catalogue)
        picks = np.flatnonzero(allowed(query, ordered.rows))[: self._limit]
        if len(picks) < self._limit and not ordered.whole:
            # Cut only after what the filters would drop: this source must not run dry while the catalogue has something.
            ordered = self._whole(query.catalogue)
            picks = np.flatnonzero(allowed(query, ordered.rows))[: self._limit]
        return Found(Candidates.of(self.name, ordered.rows[picks], ordered.counts[picks]), notes=ordered.notes)

    def first(self, catalogue: Catalogue) -> Ordered:
        """The first of them, made once per catalogue."""
        return catalogue.once(("popular", self._column), self._parts, lambda: self._order(catalogue, FIRST))

    def _whole(self, catalogue: Catalogue) -> Ordered:
        return catalogue.once(("all popular", self._column), self._parts, lambda: self._order(catalogue, len(catalogue)))

    @property
    def _parts(self) -> tuple[str, ...]:
        return ("ids", "column:available", f"column:{self._column}")

    def _order(self, catalogue: Catalogue, most: int) -> Ordered:
        """The best `most`; of equal counts, the first rows."""
        try:
            counts = np.nan_to_num(catalogue.column(self._column).values.astype(np.float32))
            notes: tuple[str, ...] = ()
        except StageFailed as failed:
            counts, notes = np.zeros(len(catalogue), np.float32), (failed.reason,)
        rows = np.flatnonzero(catalogue.available())
        whole = len(rows) <= most
        if not whole:
            held = counts[rows]
            last = np.partition(held, len(rows) - most)[len(rows) - most]
            above = rows[held > last]
            rows = np.concatenate([above, rows[held == last][: most - len(above)]])
        best: Rows = rows[np.argsort(-counts[rows], kind="stable")].astype(np.int32)
        return Ordered(best, counts[best], whole, notes)
