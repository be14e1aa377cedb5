"""One release at work in a gateway: pipelines of its own, bound to its version of the models, and how they do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from banquet.core.errors import DeadlineUnmeetable
from banquet.core.evaluation_users import is_evaluation_user
from banquet.releases.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from banquet.core.catalogue import Catalogue
    from banquet.core.pipeline import Pipeline
    from banquet.core.query import Degradation, Query
    from banquet.core.stages import Answer, ModelRun
    from banquet.wire.schema import FeatureSchema

# What is lost when a model does not do its part. A user without a history, or few items left, is nobody's fault.
MODEL_FAILURES = frozenset(
    (
        "unavailable",
        "timeout",
        "overloaded",
        "model_error",
        "stale_catalogue",
        "schema_mismatch",
        "release_mismatch",
        "internal_error",
    )
)
# These are shared by all releases.
SHARED_STAGES = ("users", "catalogue")


@dataclass(eq=False, slots=True)
class LiveRelease:
    """`ask` sends a model the canary for a catalogue, past lanes and breakers; `warm` makes beforehand what a catalogue needs."""

    release: str
    schema: FeatureSchema
    placements: Mapping[str, Pipeline]
    rank: Pipeline
    similar: Pipeline
    ask: Callable[[str, Catalogue], Awaitable[ModelRun]]
    warm: Callable[[Catalogue], None]
    close: Callable[[], Awaitable[None]]
    tally: Tally = field(default_factory=Tally)
    in_flight: int = 0

    async def answer(self, pipeline: Pipeline, query: Query) -> Answer:
        """The pipeline's answer, counted unless an evaluation user asks. The release stays open until it is there."""
        counted = not is_evaluation_user(query.user_id)
        self.in_flight += 1
        try:
            answer = await pipeline.run(query)
        except DeadlineUnmeetable:
            # The caller's doing.
            raise
        except Exception:
            self.tally.errors += counted
            raise
        finally:
            self.in_flight -= 1
        if counted:
            self.tally.answered(answer.elapsed_ms, degraded=lost_a_model(answer.degradations))
        return answer


def lost_a_model(degradations: Sequence[Degradation]) -> bool:
    """Whether an answer lacks what a model should have given."""
    return any(lost.reason in MODEL_FAILURES and lost.stage not in SHARED_STAGES for lost in degradations)
