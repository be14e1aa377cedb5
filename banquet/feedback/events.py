r"""What a user did, and how it is written down: one checked line of JSON per event.

A record is `<length> <crc32> <JSON>\n`, both numbers as 8 hex digits and over the JSON's bytes. JSON holds no raw newline, so a
reader that meets damage finds the next record at the next line; a record without its newline is still being written.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from banquet.core.declared import EVENT_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER_BYTES = len("00000000 00000000 ")


@dataclass(frozen=True, slots=True)
class Event:
    """`type` is `impression`, `click`, `rating` or `purchase`; `time_us` is microseconds since 1970 UTC, when it happened.

    `position` (from 0) is the item's place in the answer `request_id`; `value` is the rating or the amount.
    """

    event_id: str
    type: str
    user_id: str
    item_id: str
    time_us: int
    request_id: str = ""
    position: int | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Records:
    """The events of a piece of a log: `consumed` bytes end after the last whole line; `damaged` lines were left out."""

    events: list[Event]
    consumed: int
    damaged: int


_FIELDS = tuple(field.name for field in fields(Event))


def encode(event: Event) -> bytes:
    """One record, newline included."""
    body = to_body(event)
    return b"%08x %08x %s\n" % (len(body), zlib.crc32(body), body)


def to_body(event: Event) -> bytes:
    """An event as JSON."""
    present = {name: value for name in _FIELDS if (value := getattr(event, name)) not in (None, "")}
    return json.dumps(present, separators=(",", ":")).encode()


def decode(data: bytes) -> Records:
    """Every whole record from the start of a line on. Damage costs the record it hit; nothing raises."""
    events: list[Event] = []
    at = damaged = 0
    for body, _, end in _lines(data):
        at = end
        event = None if body is None else from_body(body)
        if event is not None:
            events.append(event)
        elif body is None or not is_erased(body):
            damaged += 1
    return Records(events, at, damaged)


def decode_with_places(data: bytes, having: bytes = b"") -> Iterator[tuple[Event, int, int]]:
    """The events of a piece of a log whose JSON has certain bytes, and where their records begin and end."""
    if having not in data:
        return
    for body, start, end in _lines(data):
        event = None if body is None or having not in body else from_body(body)
        if event is not None:
            yield event, start, end


def _lines(data: bytes) -> Iterator[tuple[bytes | None, int, int]]:
    """The body of every whole record, None for a damaged one, and where the record begins and ends."""
    at = 0
    while True:
        end = _end_of_body(data, at)
        if end is not None and end < len(data):
            yield data[at + _HEADER_BYTES : end], at, end + 1
            at = end + 1
        else:
            end = data.find(b"\n", at) + 1
            if end == 0:
                return
            yield None, at, end
            at = end


def erased(length: int) -> bytes:
    """A record of this many bytes in the place of one that must go: neither event nor damage."""
    body = b"{%s}" % (b" " * (length - _HEADER_BYTES - len(b"{}\n")))
    return b"%08x %08x %s\n" % (len(body), zlib.crc32(body), body)


def is_erased(body: bytes) -> bool:
    return body.startswith((b"{ ", b"{}"))


def _end_of_body(data: bytes, at: int) -> int | None:
    """Where the body of the record at `at` ends, if it is there and its checksum holds."""
    header = data[at : at + _HEADER_BYTES]
    try:
        length, crc = int(header[:8], 16), int(header[9:17], 16)
    except ValueError:
        return None
    start = at + _HEADER_BYTES
    end = start + length
    return end if length > 0 and end <= len(data) and zlib.crc32(data[start:end]) == crc else None


def from_body(body: bytes) -> Event | None:
    """The event in a body; keys of newer writers are ignored, a body without what an event needs is None."""
    try:
        found = json.loads(body)
        event = Event(**{name: found[name] for name in _FIELDS if name in found})
    except (ValueError, TypeError):
        return None
    texts = (event.event_id, event.user_id, event.item_id)
    return event if event.type in EVENT_TYPES and type(event.time_us) is int and all(map(_is_text, texts)) else None


def _is_text(value: object) -> bool:
    return isinstance(value, str)
