"""Drops withdrawn items."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from banquet.core.candidates import Candidates, Mask
    from banquet.core.query import Query


class Available:
    """Drops items the catalogue marks as withdrawn; where it marks none, all stay."""

    name = "available"

    def keep(self, query: Query, candidates: Candidates) -> Mask:
        return query.catalogue.available(candidates.rows)
