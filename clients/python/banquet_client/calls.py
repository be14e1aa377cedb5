"""Each call as a value: the method, the request and how to read its answer. The sync and the async client run the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from banquet.v1 import feedback_pb2, operations_pb2
from banquet.v1 import recommendation_pb2 as pb
from banquet_client import translation
from banquet_client.events import MAX_EVENTS_PER_BATCH, Event, Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from google.protobuf.message import Message

    from banquet_client.answers import Answer
    from banquet_client.erasure import Erasure
    from banquet_client.status import Status

Result = TypeVar("Result")
STREAM_EVENTS = "/banquet.v1.FeedbackService/StreamEvents"


@dataclass(frozen=True, slots=True)
class Call(Generic[Result]):
    """One unary call; `read` turns the bytes of the answer into the typed result."""

    method: str
    request: Message
    read: Callable[[bytes], Result]


def recommend(
    user_id: str,
    placement: str,
    limit: int,
    *,
    item_id: str,
    context: Mapping[str, str] | None,
    exclude: Iterable[str],
    filters: Mapping[str, Iterable[str]] | None,
    explain: bool,
) -> Call[Answer]:
    request = pb.RecommendRequest(
        user_id=translation.text("user_id", user_id),
        placement=translation.text("placement", placement),
        limit=translation.count("limit", limit),
        context=_context(item_id, context),
        exclude_item_ids=translation.texts("exclude", exclude),
        filters=translation.attribute_filters(filters),
        explain=explain,
    )
    return Call("/banquet.v1.RecommendationService/Recommend", request, _read_recommend)


def rank(
    user_id: str, item_ids: Iterable[str], limit: int, item_id: str, context: Mapping[str, str] | None, *, explain: bool
) -> Call[Answer]:
    request = pb.RankItemsRequest(
        user_id=translation.text("user_id", user_id),
        item_ids=translation.texts("item_ids", item_ids),
        limit=translation.count("limit", limit),
        context=_context(item_id, context),
        explain=explain,
    )
    return Call("/banquet.v1.RecommendationService/RankItems", request, _read_rank)


def similar(
    item_id: str, limit: int, exclude: Iterable[str], filters: Mapping[str, Iterable[str]] | None, user_id: str, *, explain: bool
) -> Call[Answer]:
    request = pb.SimilarItemsRequest(
        item_id=translation.text("item_id", item_id),
        limit=translation.count("limit", limit),
        exclude_item_ids=translation.texts("exclude", exclude),
        filters=translation.attribute_filters(filters),
        explain=explain,
        user_id=translation.text("user_id", user_id),
    )
    return Call("/banquet.v1.RecommendationService/SimilarItems", request, _read_similar)


def record(events: Iterable[Event]) -> Call[Receipt]:
    request = feedback_pb2.RecordEventsRequest(events=[translation.to_event(event) for event in events])
    return Call("/banquet.v1.FeedbackService/RecordEvents", request, _read_receipt)


def status() -> Call[Status]:
    return Call("/banquet.v1.OperationsService/GetStatus", operations_pb2.GetStatusRequest(), _read_status)


def forget(user_id: str) -> Call[Erasure]:
    request = operations_pb2.ForgetUserRequest(user_id=translation.text("user_id", user_id))
    return Call("/banquet.v1.OperationsService/ForgetUser", request, _read_forgotten)


def erasure(erasure_id: str) -> Call[Erasure]:
    request = operations_pb2.GetErasureRequest(erasure_id=translation.text("erasure_id", erasure_id))
    return Call("/banquet.v1.OperationsService/GetErasure", request, _read_erasure)


class Outbox:
    """Gathers streamed events into batches of the contract's messages."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = min(max(batch_size, 1), MAX_EVENTS_PER_BATCH)
        self._waiting: list[feedback_pb2.Event] = []

    def add(self, event: Event) -> feedback_pb2.StreamEventsRequest | None:
        """The batch this event completes, if it does."""
        self._waiting.append(translation.to_event(event))
        return self.take() if len(self._waiting) >= self._batch_size else None

    def take(self) -> feedback_pb2.StreamEventsRequest | None:
        """What is left over; None when nothing is."""
        waiting, self._waiting = self._waiting, []
        return feedback_pb2.StreamEventsRequest(events=waiting) if waiting else None


def to_bytes(request: Message) -> bytes:
    return request.SerializeToString()


def read_batch(payload: bytes) -> Receipt:
    return translation.to_receipt(feedback_pb2.StreamEventsResponse.FromString(payload))


def _context(item_id: str, context: Mapping[str, str] | None) -> pb.QueryContext | None:
    if not item_id and not context:
        return None
    values = {translation.text("context", name): translation.text(name, value) for name, value in (context or {}).items()}
    return pb.QueryContext(item_id=translation.text("item_id", item_id), values=values)


def _read_recommend(payload: bytes) -> Answer:
    return translation.to_answer(pb.RecommendResponse.FromString(payload))


def _read_rank(payload: bytes) -> Answer:
    return translation.to_answer(pb.RankItemsResponse.FromString(payload))


def _read_similar(payload: bytes) -> Answer:
    return translation.to_answer(pb.SimilarItemsResponse.FromString(payload))


def _read_receipt(payload: bytes) -> Receipt:
    return translation.to_receipt(feedback_pb2.RecordEventsResponse.FromString(payload))


def _read_status(payload: bytes) -> Status:
    return translation.to_status(operations_pb2.GetStatusResponse.FromString(payload))


def _read_forgotten(payload: bytes) -> Erasure:
    return translation.to_erasure(operations_pb2.ForgetUserResponse.FromString(payload).erasure)


def _read_erasure(payload: bytes) -> Erasure:
    return translation.to_erasure(operations_pb2.GetErasureResponse.FromString(payload).erasure)
