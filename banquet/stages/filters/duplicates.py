"""Keeps one of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from banquet.core.candidates import Candidates, Mask
    from banquet.core.query import Query


class Duplicates:
    """Keeps the first of equal items: the source named first found it."""

    name = "duplicates"

    def keep(self, query: Query, candidates: Candidates) -> Mask:  # noqa: ARG002 - the port of every filter
        rising = np.sort(candidates.rows)
        if (rising[1:] != rising[:-1]).all():
            return np.ones(len(candidates), np.bool_)
        mask = np.zeros(len(candidates), np.bool_)
        mask[np.unique(candidates.rows, return_index=True)[1]] = True
        return mask
