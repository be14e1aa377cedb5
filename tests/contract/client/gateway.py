"""A small real gRPC server with scripted answers, in this process, for everything that talks to a gateway."""

# ruff: noqa: N802 (the contract names the methods)
from __future__ import annotations

import threading
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

import grpc

from banquet.v1 import feedback_pb2, feedback_pb2_grpc, operations_pb2, operations_pb2_grpc, recommendation_pb2_grpc
from banquet.v1 import recommendation_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

Failure = tuple[grpc.StatusCode, str]
TITLES = {"i1": "Heat", "i2": "[Rec]", "i3": "Amélie"}


class FakeGateway(
    recommendation_pb2_grpc.RecommendationServiceServicer,
    feedback_pb2_grpc.FeedbackServiceServicer,
    operations_pb2_grpc.OperationsServiceServicer,
):
    """Answers every call. `failures` are for the next calls, `fail_when` decides after them, `delay_s` holds answers back."""

    def __init__(self, credentials: grpc.ServerCredentials | None = None, port: int = 0) -> None:
        self.calls: Counter[str] = Counter()
        self.requests: list = []
        self.metadata: list[dict[str, str]] = []
        self.seconds_left: list[float] = []
        self.failures: deque[Failure] = deque()
        self.fail_when: Callable[[], Failure | None] = lambda: None
        self.delay_s = 0.0
        self.ready = True
        self.attributes: dict[str, str] = {}
        self.named = "abc"
        self.events: dict[str, feedback_pb2.Event] = {}
        self._stopped = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        recommendation_pb2_grpc.add_RecommendationServiceServicer_to_server(self, self._server)
        feedback_pb2_grpc.add_FeedbackServiceServicer_to_server(self, self._server)
        operations_pb2_grpc.add_OperationsServiceServicer_to_server(self, self._server)
        at = f"127.0.0.1:{port}"
        self.port = self._server.add_secure_port(at, credentials) if credentials else self._server.add_insecure_port(at)
        self.address = f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._server.stop(None).wait()

    def Recommend(self, request, context):
        self._arrive("Recommend", request, context)
        items = [self._item(f"i{k + 1}", 3 - k, explain=request.explain) for k in range(min(request.limit, 3))]
        return pb.RecommendResponse(request_id="r1", items=items, info=self._info())

    def RankItems(self, request, context):
        self._arrive("RankItems", request, context)
        items = [self._item(item, 9, explain=request.explain) for item in sorted(request.item_ids, reverse=True)]
        return pb.RankItemsResponse(request_id="r2", items=items, info=self._info())

    def SimilarItems(self, request, context):
        self._arrive("SimilarItems", request, context)
        return pb.SimilarItemsResponse(request_id="r3", items=[self._item("i2", 0.5, explain=request.explain)], info=self._info())

    def RecordEvents(self, request, context):
        self._arrive("RecordEvents", request, context)
        return feedback_pb2.RecordEventsResponse(**self._record(request.events))

    def StreamEvents(self, request_iterator, context):
        for request in request_iterator:
            self._arrive("StreamEvents", request, context)
            yield feedback_pb2.StreamEventsResponse(**self._record(request.events))

    def GetStatus(self, request, context):
        self._arrive("GetStatus", request, context)
        return operations_pb2.GetStatusResponse(
            ready=self.ready,
            parts=[operations_pb2.PartStatus(part="torchserve", ready=self.ready, detail="" if self.ready else "no worker")],
            release=operations_pb2.ReleaseStatus(
                version=self.named, models=[operations_pb2.ModelStatus(model="ranking", backend="onnxruntime", ready=True)]
            ),
            catalogue=operations_pb2.CatalogueStatus(version="c1", items=3, age_s=5, columns=["genres", "available"]),
            placements=[
                operations_pb2.PlacementStatus(
                    placement="home", sources=["retrieval", "popular"], filters=["seen"], scorer="ranking", selector="top_k"
                )
            ],
            banquet_version="0.1.0",
            uptime_s=12.5,
        )

    def ForgetUser(self, request, context):
        self._arrive("ForgetUser", request, context)
        return operations_pb2.ForgetUserResponse(erasure=self._erasure())

    def GetErasure(self, request, context):
        self._arrive("GetErasure", request, context)
        return operations_pb2.GetErasureResponse(erasure=self._erasure())

    def _erasure(self) -> operations_pb2.Erasure:
        places = [operations_pb2.ErasedPlace(place="events", removed=7, left=0 if self.ready else 2)]
        return operations_pb2.Erasure(erasure_id="e1", done=self.ready, places=places, detail="" if self.ready else "no store")

    def _arrive(self, method, request, context) -> None:
        self.calls[method] += 1
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self.seconds_left.append(context.time_remaining())
        if self.delay_s:
            self._stopped.wait(self.delay_s)
        failure = self.failures.popleft() if self.failures else self.fail_when()
        if failure:
            context.abort(*failure)

    def _record(self, events) -> dict[str, int]:
        new = {event.event_id: event for event in events if event.event_id not in self.events}
        self.events |= new
        return {"recorded": len(new), "duplicates": len(events) - len(new)}

    def _item(self, item: str, score: float, *, explain: bool) -> pb.ScoredItem:
        attributes = {"title": TITLES[item], "genres": "Crime", **self.attributes} if item in TITLES else {}
        explanation = pb.Explanation(source_score=0.25, ranking_score=score, attributes=attributes)
        return pb.ScoredItem(item_id=item, score=score, source="retrieval", explanation=explanation if explain else None)

    def _info(self) -> pb.AnswerInfo:
        return pb.AnswerInfo(
            release=self.named,
            catalogue_version="c1",
            catalogue_age_s=5,
            degradations=[pb.Degradation(stage="similar", reason="unavailable")],
            timings=[pb.StageTiming(stage="ranking", elapsed_ms=3.5, model_ms=2.5, backend="onnxruntime")],
        )
