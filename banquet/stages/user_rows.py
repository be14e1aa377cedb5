"""What a query's user has had, as rows of the query's catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from banquet.core.candidates import Mask, Rows
    from banquet.core.query import Query


def history_rows(query: Query, length: int) -> Rows:
    """The user's last items as catalogue rows, oldest first; items that have left the catalogue are left out."""
    rows = query.history_rows[:length]
    return np.ascontiguousarray(rows[rows >= 0][::-1])


def unseen(query: Query, rows: Rows) -> Mask:
    """Which of some rows are none of the query's seen ones, bool [len(rows)]."""
    seen = query.seen_rows
    if not len(seen):
        return np.ones(len(rows), np.bool_)
    # `np.isin` takes thrice as long for so few.
    mask: Mask = seen[np.minimum(np.searchsorted(seen, rows), len(seen) - 1)] != rows
    return mask


def allowed(query: Query, rows: Rows) -> Mask:
    """Which of some rows the query's exclusions, history and attribute filters leave, bool [len(rows)]."""
    mask = unseen(query, rows)
    for wanted in query.filters:
        mask &= query.catalogue.holds(wanted.attribute, wanted.values, rows)
    return mask
