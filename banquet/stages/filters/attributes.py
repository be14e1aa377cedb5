"""Keeps what the caller asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from banquet.core.candidates import Candidates, Mask
    from banquet.core.query import Query


class Attributes:
    """Keeps items that meet every attribute filter of the query."""

    name = "attributes"

    def keep(self, query: Query, candidates: Candidates) -> Mask:
        mask = np.ones(len(candidates), np.bool_)
        for wanted in query.filters:
            mask &= query.catalogue.holds(wanted.attribute, wanted.values, candidates.rows)
        return mask
