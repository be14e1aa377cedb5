"""Drops what the user has had already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from banquet.core.candidates import Candidates, Mask
    from banquet.core.query import Query


class Seen:
    """Drops the items of the history, the caller's exclusions and the item on the page."""

    name = "seen"

    def keep(self, query: Query, candidates: Candidates) -> Mask:
        seen = query.seen_rows
        if not len(seen):
            return np.ones(len(candidates), np.bool_)
        # `np.isin` takes thrice as long for so few.
        places = np.searchsorted(seen, candidates.rows)
        unseen: Mask = seen[np.minimum(places, len(seen) - 1)] != candidates.rows
        return unseen
