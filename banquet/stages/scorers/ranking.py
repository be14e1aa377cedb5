"""Scores from the ranking model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from banquet.core.stages import ModelJob, Scored
from banquet.stages.user_rows import history_rows

if TYPE_CHECKING:
    from banquet.core.candidates import Candidates
    from banquet.core.query import Query
    from banquet.core.stages import ModelClient
    from banquet.wire.schema import FeatureSchema


class Ranking:
    """Scores every candidate for the user; only the user row and the candidates' row numbers travel."""

    name = "ranking"

    def __init__(self, models: ModelClient, schema: FeatureSchema, vector_size: int) -> None:
        self._models = models
        self._schema = schema
        self._no_vector = np.zeros(vector_size, np.float32)

    async def score(self, query: Query, candidates: Candidates) -> Scored:
        user = self._schema.encode_user(query.user.values)
        arrays = {
            "history": history_rows(query, self._schema.history_length),
            "user_categories": user.categories,
            "user_numbers": user.numbers,
            "user_vector": self._no_vector if candidates.user_vector is None else candidates.user_vector,
            "rows": candidates.rows,
        }
        answer = await self._models.predict(ModelJob("ranking", query.catalogue.version, arrays), query.deadline.remaining_s())
        return Scored(answer.arrays["scores"], answer.run, ("defaults_used",) if query.user.found and user.missing else ())
