"""The best ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from banquet.core.stages import Selection

if TYPE_CHECKING:
    from banquet.core.candidates import Candidates
    from banquet.core.query import Query


class TopK:
    """The `limit` best, by ranking score, then in the order they came."""

    name = "top_k"

    def select(self, query: Query, candidates: Candidates) -> Selection:
        return Selection(candidates.in_order(query.limit))
