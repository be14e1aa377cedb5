"""Scores from the ranking model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from banquet.core.questions import question_of
from banquet.core.stages import ModelJob, Scored
from banquet.stages.user_rows import history_rows

if TYPE_CHECKING:
    from collections.abc import Container

    from banquet.core.candidates import Candidates
    from banquet.core.query import Query
    from banquet.core.stages import ModelClient
    from banquet.wire.schema import FeatureSchema


class Ranking:
    """Scores every candidate for the user; only the user row and the candidates' row numbers travel.

    For questions in `left_out`, which the model answers worse than retrieval alone, it gives the retrieval scores; for users
    without history, of whom retrieval knows nothing, it then leaves the candidates in the order of their source.
    """

    name = "ranking"

    def __init__(self, models: ModelClient, schema: FeatureSchema, left_out: Container[str] = ()) -> None:
        self._models = models
        self._schema = schema
        self._left_out = left_out

    async def score(self, query: Query, candidates: Candidates) -> Scored:
        question = question_of(query)
        is_left_out = question in self._left_out
        if is_left_out and question == "no_history":
            return Scored(candidates.ranking)
        user = self._schema.encode_user(query.user.values)
        arrays = {
            "history": history_rows(query, self._schema.history_length),
            "user_categories": user.categories,
            "user_numbers": user.numbers,
            "rows": candidates.rows,
        }
        if candidates.user_vector is not None:
            arrays["user_vector"] = candidates.user_vector
        answer = await self._models.predict(ModelJob("ranking", query.catalogue.version, arrays), query.deadline.remaining_s())
        notes = ("defaults_used",) if query.user.found and user.missing else ()
        return Scored(answer.arrays["retrieval" if is_left_out else "scores"], answer.run, notes)
