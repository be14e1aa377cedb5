"""Drops what the user has had already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from banquet.stages.user_rows import unseen

if TYPE_CHECKING:
    from banquet.core.candidates import Candidates, Mask
    from banquet.core.query import Query


class Seen:
    """Drops the items of the history, the caller's exclusions and the item on the page."""

    name = "seen"

    def keep(self, query: Query, candidates: Candidates) -> Mask:
        return unseen(query, candidates.rows)
