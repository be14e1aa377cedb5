"""Makes the stages that a placements file names, for one release."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from banquet.app.placements import MmrSettings
from banquet.core.pipeline import Pipeline
from banquet.stages.filter_bits import FilterBits
from banquet.stages.filters.attributes import Attributes
from banquet.stages.filters.available import Available
from banquet.stages.filters.duplicates import Duplicates
from banquet.stages.filters.seen import Seen
from banquet.stages.scorers.ranking import Ranking
from banquet.stages.selectors.explore import Explore
from banquet.stages.selectors.mmr import Mmr
from banquet.stages.selectors.top_k import TopK
from banquet.stages.sources.cascade import Cascade
from banquet.stages.sources.given import Given
from banquet.stages.sources.popular import Popular
from banquet.stages.sources.retrieval import Retrieval
from banquet.stages.sources.similar import Similar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from banquet.app.placements import PlacementSettings, SourceSettings
    from banquet.core.stages import Filter, ModelClient, Selector, Sink, Source, UserReader
    from banquet.stages.vectors import ItemVectors
    from banquet.wire.schema import FeatureSchema

FILTERS: Mapping[str, Callable[[], Filter]] = {
    "seen": Seen,
    "available": Available,
    "attributes": Attributes,
    "duplicates": Duplicates,
}


@dataclass(frozen=True, slots=True)
class Stages:
    """Makes the stages that a placements file names. `left_out` are the questions that the ranking model does not answer."""

    models: ModelClient
    users: UserReader
    schema: FeatureSchema
    vectors: ItemVectors
    sinks: tuple[Sink, ...]
    left_out: tuple[str, ...] = ()
    bits: FilterBits = field(default_factory=FilterBits)

    def pipeline(self, name: str, placement: PlacementSettings) -> Pipeline:
        return Pipeline(
            placement=name,
            users=self.users,
            sources=[self.source(source) for source in placement.sources],
            reserve=None if placement.reserve is None else self.source(placement.reserve),
            filters=[FILTERS[kind]() for kind in placement.filters],
            scorer=None if placement.scorer is None else self.ranking(),
            selector=self.selector(placement),
            sinks=self.sinks,
            budgets_s={stage: budget_ms / 1e3 for stage, budget_ms in placement.budgets_ms.items()},
        )

    def rank(self) -> Pipeline:
        """For `RankItems`: the caller's candidates."""
        return Pipeline("rank", self.users, [Given()], None, [Duplicates()], self.ranking(), TopK(), self.sinks)

    def similar(self) -> Pipeline:
        """For `SimilarItems`: no user, no models."""
        near = [Similar(self.vectors, limit=1000)]
        return Pipeline("similar", None, near, None, [Seen(), Available(), Attributes()], None, TopK(), self.sinks)

    def source(self, source: SourceSettings) -> Source:
        match source.kind:
            case "cascade":
                return Cascade(self.models, self.schema, source.limit, self.bits, self.left_out)
            case "retrieval":
                return Retrieval(self.models, source.limit, self.schema.history_length, self.bits)
            case "similar":
                return Similar(self.vectors, source.limit)
            case "popular":
                return Popular(source.limit)

    def ranking(self) -> Ranking:
        return Ranking(self.models, self.schema, self.left_out)

    def selector(self, placement: PlacementSettings) -> Selector:
        chosen = placement.selector
        inner = Mmr(self.vectors, chosen.diversity) if isinstance(chosen, MmrSettings) else TopK()
        return inner if placement.explore is None else Explore(inner, placement.explore.share, placement.explore.pool)
