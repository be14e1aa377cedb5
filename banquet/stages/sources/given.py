"""The caller's own candidates, for `RankItems`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from banquet.core.candidates import Candidates
from banquet.core.stages import Found

if TYPE_CHECKING:
    from banquet.core.query import Query


class Given:
    """The query's `item_ids` in the caller's order; those the catalogue does not have are left out and reported."""

    name = "given"

    async def find(self, query: Query) -> Found:
        rows = query.catalogue.rows_of(query.item_ids)
        known = rows[rows >= 0]
        # The caller's order is all that is known before ranking.
        scores = -np.arange(len(known), dtype=np.float32)
        return Found(Candidates.of(self.name, known, scores), notes=() if len(known) == len(rows) else ("unknown_items",))
