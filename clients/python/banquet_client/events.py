"""What a user did, as the caller writes it down."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, get_args
from uuid import uuid4

from banquet_client.errors import InvalidRequest

EventType = Literal["impression", "click", "rating", "purchase"]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
MAX_EVENTS_PER_BATCH = 1000
_MAX_POSITION = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing a user did.

    An event without an id gets a uuid when it is made, so that sending the same object twice counts once. `request_id` and
    `position` (from 0) tell which answer the item was shown in; `value` is the rating or the amount. Raises `InvalidRequest`.
    """

    user_id: str
    item_id: str
    type: EventType
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    event_id: str = field(default_factory=lambda: str(uuid4()))
    request_id: str = ""
    position: int | None = None
    value: float | None = None

    def __post_init__(self) -> None:
        if self.type not in EVENT_TYPES:
            raise InvalidRequest(f"event type {self.type!r}: must be one of {', '.join(EVENT_TYPES)}")
        if self.time.tzinfo is None:
            raise InvalidRequest(f"event time {self.time.isoformat()}: has no time zone; add one, such as datetime.UTC")
        if self.position is not None and not 0 <= self.position <= _MAX_POSITION:
            raise InvalidRequest(f"event position {self.position}: must be 0 to {_MAX_POSITION}")


@dataclass(frozen=True, slots=True)
class Receipt:
    """Says that a batch is durable: how many events it added and how many were known already."""

    recorded: int
    duplicates: int
