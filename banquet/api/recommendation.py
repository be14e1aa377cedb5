"""RecommendationService: translate, run, translate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from banquet.api.translation import answer_info, rank_query, recommend_query, scored_items, similar_query
from banquet.core.deadline import Deadline
from banquet.core.errors import BadRequest, StageFailed, UnknownPlacement
from banquet.core.ids import KeyTypes
from banquet.v1 import recommendation_pb2 as pb
from banquet.v1 import recommendation_pb2_grpc as rpc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import grpc

    from banquet.core.catalogue import Catalogue
    from banquet.core.pipeline import Pipeline
    from banquet.core.query import Query
    from banquet.core.stages import Answer

    Context = grpc.aio.ServicerContext[Any, Any]


class Release(Protocol):
    """One release's pipelines: a query that begins on them ends on them."""

    @property
    def placements(self) -> Mapping[str, Pipeline]: ...

    @property
    def rank(self) -> Pipeline:
        """For the caller's own candidates."""
        ...

    @property
    def similar(self) -> Pipeline: ...

    async def answer(self, pipeline: Pipeline, query: Query) -> Answer:
        """What `pipeline`, one of these, answers."""
        ...


class Releases(Protocol):
    """The releases that serve."""

    def of(self, user_id: str) -> Release:
        """The one for a user."""
        ...

    def answered(self, release: Any, pipeline: Pipeline, answer: Answer) -> None:
        """Take note of an answer after it was sent."""
        ...


class Recommendation(rpc.RecommendationServiceServicer):
    """Answers from a release's pipelines.

    `catalogue` gives the version in force, or None before the first is loaded; `keys` says what ids must look like.
    """

    def __init__(
        self,
        releases: Releases,
        catalogue: Callable[[], Catalogue | None],
        max_latency_s: float,
        keys: Callable[[], KeyTypes] = KeyTypes,
    ) -> None:
        self._releases = releases
        self._catalogue = catalogue
        self._max_latency_s = max_latency_s
        self._keys = keys

    async def Recommend(self, request: pb.RecommendRequest, context: Context) -> pb.RecommendResponse:
        query = recommend_query(request, self._deadline(context), self._in_force(), self._keys())
        release = self._releases.of(query.user_id)
        pipeline = release.placements.get(query.placement)
        if pipeline is None:
            configured = ", ".join(sorted(release.placements))
            raise UnknownPlacement(f"placement {query.placement[:64]!r} is not configured; allowed: {configured}")
        answer = await self._answer(release, pipeline, query, context)
        return pb.RecommendResponse(request_id=query.request_id, items=scored_items(answer), info=answer_info(answer))

    async def RankItems(self, request: pb.RankItemsRequest, context: Context) -> pb.RankItemsResponse:
        query = rank_query(request, self._deadline(context), self._in_force(), self._keys())
        release = self._releases.of(query.user_id)
        answer = await self._answer(release, release.rank, query, context)
        return pb.RankItemsResponse(request_id=query.request_id, items=scored_items(answer), info=answer_info(answer))

    async def SimilarItems(self, request: pb.SimilarItemsRequest, context: Context) -> pb.SimilarItemsResponse:
        query = similar_query(request, self._deadline(context), self._in_force(), self._keys())
        if query.catalogue.rows_of([query.item_id])[0] < 0:
            raise BadRequest(f"item_id {query.item_id[:64]!r} is not in the catalogue; ask for an item that is")
        release = self._releases.of(query.user_id)
        answer = await self._answer(release, release.similar, query, context)
        return pb.SimilarItemsResponse(request_id=query.request_id, items=scored_items(answer), info=answer_info(answer))

    async def _answer(self, release: Release, pipeline: Pipeline, query: Query, context: Context) -> Answer:
        answer = await release.answer(pipeline, query)
        context.add_done_callback(lambda _: self._releases.answered(release, pipeline, answer))  # type: ignore[arg-type] # the stubs want a class
        return answer

    def _deadline(self, context: Context) -> Deadline:
        """The caller's deadline, capped by ours."""
        remaining_s = context.time_remaining()
        return Deadline.after(self._max_latency_s if remaining_s is None else min(remaining_s, self._max_latency_s))

    def _in_force(self) -> Catalogue:
        catalogue = self._catalogue()
        if catalogue is None:
            raise StageFailed("no_catalogue", "no catalogue has been built yet; try again when the health check says SERVING")
        return catalogue
