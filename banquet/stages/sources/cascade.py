"""Retrieval and ranking in one model call: candidates that come with their ranking scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from banquet.core.candidates import Candidates
from banquet.core.errors import StageFailed
from banquet.core.questions import question_of
from banquet.core.stages import Found, ModelJob
from banquet.stages.user_rows import history_rows

if TYPE_CHECKING:
    from collections.abc import Container

    from banquet.core.query import Query
    from banquet.core.stages import ModelClient
    from banquet.stages.filter_bits import FilterBits
    from banquet.wire.schema import FeatureSchema


class Cascade:
    """As `Retrieval`, then ranked beside the same model: one hop instead of two. `left_out` is as `Ranking` has it."""

    name = "cascade"

    def __init__(
        self, models: ModelClient, schema: FeatureSchema, limit: int, bits: FilterBits, left_out: Container[str] = ()
    ) -> None:
        self._models = models
        self._schema = schema
        self._limit = limit
        self._bits = bits
        self._left_out = left_out

    async def find(self, query: Query) -> Found:
        history = history_rows(query, self._schema.history_length)
        if not len(history):
            raise StageFailed("empty_history")
        user = self._schema.encode_user(query.user.values)
        arrays = {
            "history": history,
            "seen": query.seen_rows,
            "limit": np.array([self._limit], np.int32),
            "user_categories": user.categories,
            "user_numbers": user.numbers,
        }
        allowed = await self._bits.of(query)
        if allowed is not None:
            arrays["allowed"] = allowed
        answer = await self._models.predict(ModelJob("cascade", query.catalogue.version, arrays), query.deadline.remaining_s())
        found = answer.arrays
        ranking = found["scores" if question_of(query) in self._left_out else "ranking"]
        candidates = Candidates.of(self.name, found["rows"], found["scores"], ranking=ranking, user_vector=found["user_vector"])
        return Found(candidates, answer.run, ("defaults_used",) if query.user.found and user.missing else ())
