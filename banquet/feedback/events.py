r"""What a user did, and how it is written down: one checked line of JSON per event.

A record is `<length> <crc32> <JSON>\n`, both numbers as 8 hex digits and over the JSON's bytes. JSON holds no raw newline, so a
reader that meets damage finds the next record at the next line; a record without its newline is still being written.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, fields

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
    present = {name: value for name in _FIELDS if (value := getattr(event, name)) not in (None, "")}
    body = json.dumps(present, separators=(",", ":")).encode()
    return b"%08x %08x %s\n" % (len(body), zlib.crc32(body), body)


def decode(data: bytes) -> Records:
    """Every whole record from the start of a line on. Damage costs the record it hit; nothing raises."""
    events: list[Event] = []
    at = damaged = 0
    while True:
        end = _end_of_body(data, at)
        if end is not None and end < len(data):
            event = _event(data[at + _HEADER_BYTES : end])
            end += 1
        else:
            event = None
            end = data.find(b"\n", at) + 1
            if end == 0:
                return Records(events, at, damaged)
        if event is None:
            damaged += 1
        else:
            events.append(event)
        at = end


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


def _event(body: bytes) -> Event | None:
    """The event in a checked body; keys of newer writers are ignored, a body without what an event needs is None."""
    try:
        found = json.loads(body)
        return Event(**{name: found[name] for name in _FIELDS if name in found})
    except (ValueError, TypeError):
        return None
