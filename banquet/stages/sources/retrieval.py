"""Candidates from the retrieval model: the items whose vectors are nearest to what the user's history says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from banquet.core.candidates import Candidates
from banquet.core.errors import StageFailed
from banquet.core.stages import Found, ModelJob
from banquet.stages.user_rows import history_rows

if TYPE_CHECKING:
    from banquet.core.query import Query
    from banquet.core.stages import ModelClient
    from banquet.stages.filter_bits import FilterBits


class Retrieval:
    """The best of the whole catalogue for the user's history, without what was seen, excluded or does not meet the filters."""

    name = "retrieval"

    def __init__(self, models: ModelClient, limit: int, history_length: int, bits: FilterBits) -> None:
        self._models = models
        self._limit = limit
        self._history_length = history_length
        self._bits = bits

    async def find(self, query: Query) -> Found:
        history = history_rows(query, self._history_length)
        if not len(history):
            raise StageFailed("empty_history")
        arrays = {"history": history, "seen": query.seen_rows, "limit": np.array([self._limit], np.int32)}
        allowed = await self._bits.of(query)
        if allowed is not None:
            arrays["allowed"] = allowed
        answer = await self._models.predict(ModelJob("retrieval", query.catalogue.version, arrays), query.deadline.remaining_s())
        found = answer.arrays
        candidates = Candidates.of(self.name, found["rows"], found["scores"], user_vector=found["user_vector"])
        return Found(candidates, answer.run)
