"""FeedbackService: check, write down, acknowledge."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from banquet.api import limits
from banquet.api.translation import checked_count, checked_id, optional_id
from banquet.core.errors import BadRequest
from banquet.core.limits import MAX_EVENT_ID_BYTES
from banquet.feedback.events import Event
from banquet.v1 import feedback_pb2 as pb
from banquet.v1 import feedback_pb2_grpc as rpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    import grpc

    from banquet.feedback.ports import EventLog

    Context = grpc.aio.ServicerContext[Any, Any]

TYPES = {
    pb.EVENT_TYPE_IMPRESSION: "impression",
    pb.EVENT_TYPE_CLICK: "click",
    pb.EVENT_TYPE_RATING: "rating",
    pb.EVENT_TYPE_PURCHASE: "purchase",
}
MAX_POSITION = 100_000


class Feedback(rpc.FeedbackServiceServicer):
    """Answers when the events are durable; a batch with one bad event is refused as a whole. `count` is told of what is new."""

    def __init__(self, log: EventLog, count: Callable[[Sequence[Event]], None] = lambda _: None) -> None:
        self._log = log
        self._count = count

    async def RecordEvents(self, request: pb.RecordEventsRequest, context: Context) -> pb.RecordEventsResponse:  # noqa: ARG002
        recorded, duplicates = await self._record(request.events)
        return pb.RecordEventsResponse(recorded=recorded, duplicates=duplicates)

    async def StreamEvents(
        self,
        requests: AsyncIterator[pb.StreamEventsRequest],
        context: Context,  # noqa: ARG002
    ) -> AsyncIterator[pb.StreamEventsResponse]:
        async for request in requests:
            recorded, duplicates = await self._record(request.events)
            yield pb.StreamEventsResponse(recorded=recorded, duplicates=duplicates)

    async def _record(self, events: Sequence[pb.Event]) -> tuple[int, int]:
        checked_count("number of events", len(events), 1, limits.MAX_EVENTS)
        now_s = time.time()
        checked = [to_event(f"events[{k}]", event, now_s) for k, event in enumerate(events)]
        written = await self._log.append(checked)
        if not written.duplicates:
            # Which of a batch were there already is not said, and nothing may count twice.
            self._count(checked)
        return written.recorded, written.duplicates


def to_event(field: str, event: pb.Event, now_s: float) -> Event:
    """The event of a request. Raises `BadRequest` naming the field, its value and what is allowed."""
    kind = TYPES.get(event.type)
    if kind is None:
        raise BadRequest(f"{field}.type is {event.type}; allowed: {', '.join(map(pb.EventType.Name, TYPES))}")
    if not event.HasField("time"):
        raise BadRequest(f"{field}.time is missing; give the moment it happened")
    time_s = event.time.seconds + event.time.nanos / 1e9
    if not 0 < time_s <= now_s + limits.MAX_EVENT_AHEAD_S:
        raise BadRequest(
            f"{field}.time is {time_s:.0f} s since 1970; allowed: after 0 and at most {limits.MAX_EVENT_AHEAD_S:.0f} s "
            f"ahead of the server's clock ({now_s:.0f})"
        )
    if event.HasField("value") and not math.isfinite(event.value):
        raise BadRequest(f"{field}.value is {event.value}; allowed: finite numbers")
    if kind == "rating" and not event.HasField("value"):
        raise BadRequest(f"{field}.value is missing; a rating needs one")
    return Event(
        event_id=checked_id(f"{field}.event_id", event.event_id, MAX_EVENT_ID_BYTES),
        type=kind,
        user_id=checked_id(f"{field}.user_id", event.user_id),
        item_id=checked_id(f"{field}.item_id", event.item_id),
        time_us=event.time.seconds * 1_000_000 + event.time.nanos // 1_000,
        request_id=optional_id(f"{field}.request_id", event.request_id),
        position=checked_count(f"{field}.position", event.position, 0, MAX_POSITION) if event.HasField("position") else None,
        value=event.value if event.HasField("value") else None,
    )
