"""What a query's user has had, as rows of the query's catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from banquet.core.candidates import Mask, Rows
    from banquet.core.query import Query


def history_rows(query: Query, length: int) -> Rows:
    """The user's last items as catalogue rows, oldest first; items that have left the catalogue are left out."""
    rows = query.catalogue.rows_of(query.user.history[:length])
    return np.ascontiguousarray(rows[rows >= 0][::-1])


def seen_rows(query: Query) -> Rows:
    """Rows that must not come back: the history, the caller's exclusions and the item on the page."""
    rows = query.catalogue.rows_of([*query.user.history, *query.exclude_item_ids, query.item_id])
    return rows[rows >= 0]


def allowed(query: Query, rows: Rows) -> Mask:
    """Which of some rows the query's exclusions, history and attribute filters leave, bool [len(rows)]."""
    mask = np.isin(rows, seen_rows(query), invert=True)
    for wanted in query.filters:
        mask &= query.catalogue.holds(wanted.attribute, wanted.values, rows)
    return mask
