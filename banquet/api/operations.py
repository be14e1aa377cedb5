"""OperationsService: what is loaded and whether it works, and forgetting people."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from banquet.api.forgetting import Forgetting
from banquet.core.ids import KeyTypes
from banquet.v1 import operations_pb2 as pb
from banquet.v1 import operations_pb2_grpc as rpc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import grpc

    from banquet.core.catalogue import Catalogue
    from banquet.core.erasure import ErasureRequests
    from banquet.core.pipeline import Pipeline

    Context = grpc.aio.ServicerContext[Any, Any]


USERS = "users"
CATALOGUE_UPDATE = "catalogue update"
AVAILABILITY = "availability"
# Without these answers are degraded or grow older, and still had better come.
DISPENSABLE = (USERS, CATALOGUE_UPDATE, AVAILABILITY)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the system; `detail` says what is wrong and what to do, and is empty when it is ready."""

    name: str
    ready: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """How things stand: every part, and per model the backend that answered its last canary (empty: none did)."""

    parts: Sequence[Part]
    backends: Mapping[str, str]

    @property
    def ready(self) -> bool:
        """Whether models and catalogue work."""
        return all(part.ready for part in self.parts if part.name not in DISPENSABLE)


@dataclass(frozen=True, slots=True)
class ServedRelease:
    """A release as this gateway has it: `state` and counts as in the contract."""

    version: str
    state: str
    placements: Mapping[str, Pipeline]
    percent: float = 0.0
    answers: int = 0
    errors: int = 0
    degraded: int = 0


class Operations(rpc.OperationsServiceServicer):
    """Reports, and forgets people. `condition` is the latest one known; it is checked elsewhere, so that asking costs nothing."""

    def __init__(
        self,
        condition: Callable[[], Condition],
        catalogue: Callable[[], Catalogue | None],
        releases: Callable[[], Sequence[ServedRelease]],
        erasures: ErasureRequests,
        keys: Callable[[], KeyTypes] = KeyTypes,
    ) -> None:
        """`releases` are those that serve, the stable one first; `keys` says what ids must look like."""
        self._condition = condition
        self._catalogue = catalogue
        self._releases = releases
        self._forgetting = Forgetting(erasures, keys)
        self._began_s = time.monotonic()

    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.GetStatusResponse:  # noqa: ARG002
        condition, releases = self._condition(), self._releases()
        return pb.GetStatusResponse(
            ready=condition.ready,
            parts=[pb.PartStatus(part=part.name, ready=part.ready, detail=part.detail) for part in condition.parts],
            release=pb.ReleaseStatus(
                version=releases[0].version,
                models=[
                    pb.ModelStatus(model=model, backend=backend, ready=bool(backend))
                    for model, backend in sorted(condition.backends.items())
                ],
            ),
            catalogue=_catalogue_status(self._catalogue()),
            placements=[_placement_status(pipeline) for pipeline in releases[0].placements.values()],
            banquet_version=version("banquet"),
            uptime_s=time.monotonic() - self._began_s,
            releases=[_served(one) for one in releases],
        )

    async def ForgetUser(self, request: pb.ForgetUserRequest, context: Context) -> pb.ForgetUserResponse:
        return pb.ForgetUserResponse(erasure=await self._forgetting.forget(request.user_id, context.time_remaining()))

    async def GetErasure(self, request: pb.GetErasureRequest, context: Context) -> pb.GetErasureResponse:  # noqa: ARG002
        return pb.GetErasureResponse(erasure=await self._forgetting.find(request.erasure_id))


def _served(one: ServedRelease) -> pb.ServedRelease:
    counts = {"answers": one.answers, "errors": one.errors, "degraded": one.degraded}
    return pb.ServedRelease(version=one.version, state=one.state, percent=one.percent, **counts)


def _catalogue_status(catalogue: Catalogue | None) -> pb.CatalogueStatus:
    if catalogue is None:
        return pb.CatalogueStatus()
    return pb.CatalogueStatus(
        version=catalogue.version, items=len(catalogue), age_s=catalogue.age_s(), columns=sorted(catalogue.file.columns)
    )


def _placement_status(pipeline: Pipeline) -> pb.PlacementStatus:
    return pb.PlacementStatus(
        placement=pipeline.placement,
        sources=[source.name for source in pipeline.sources],
        filters=[stage.name for stage in pipeline.filters],
        scorer=pipeline.scorer.name if pipeline.scorer else "",
        selector=pipeline.selector.name,
    )
