"""Events as JSON lines: what `banquet record --file` reads. Nothing is sent before every line was checked."""

from __future__ import annotations

import json
from datetime import datetime
from math import isfinite
from typing import TYPE_CHECKING, Any

from banquet_client import Event, InvalidRequest

from banquet.core.errors import BadData
from banquet.core.limits import MAX_EVENT_ID_BYTES, MAX_ID_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FIELDS: dict[str, tuple[type, ...]] = {
    "user_id": (str,),
    "item_id": (str,),
    "type": (str,),
    "time": (str,),
    "event_id": (str,),
    "request_id": (str,),
    "position": (int,),
    "value": (int, float),
}
_REQUIRED = ("user_id", "item_id", "type")
_MOST_BYTES = {**dict.fromkeys(("user_id", "item_id", "request_id"), MAX_ID_BYTES), "event_id": MAX_EVENT_ID_BYTES}
_NAMES = {str: "text", int: "a whole number", float: "a number"}


def read_events(file: Path) -> list[Event]:
    """Every line as an event. Raises `BadData` naming file, line, field and remedy."""
    try:
        # Lines end where JSON lines do: `splitlines` also breaks at U+2028, which JSON permits within a text.
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{file}: cannot be read as text ({error})") from error
    events = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                events.append(to_event(json.loads(line)))
            except (json.JSONDecodeError, RecursionError) as error:
                raise BadData(f"{file}, line {number}: is not JSON ({error}); write one object per line") from error
            except BadData as error:
                raise BadData(f"{file}, line {number}: {error}") from error
    if not events:
        raise BadData(f"{file}: holds no events; write one JSON object per line")
    return events


def to_event(fields: object) -> Event:
    """One event from its fields. Raises `BadData` naming the field, its value and what it must be."""
    if not isinstance(fields, dict):
        raise BadData(f"{fields!r}: must be an object with the fields {', '.join(_FIELDS)}")
    _check(fields)
    given: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    if "time" in given:
        given["time"] = _time(given["time"])
    try:
        return Event(**given)
    except InvalidRequest as error:
        raise BadData(str(error)) from error


def _check(fields: Mapping[str, object]) -> None:
    for name, value in fields.items():
        if name not in _FIELDS:
            raise BadData(f"field {name!r} is unknown; known are {', '.join(_FIELDS)}")
        if value is not None and (not isinstance(value, _FIELDS[name]) or isinstance(value, bool)):
            raise BadData(f"field {name!r} is {value!r}: must be {_NAMES[_FIELDS[name][-1]]}")
        if isinstance(value, float) and not isfinite(value):
            raise BadData(f"field {name!r} is {value}: must be a finite number")
    for name in _REQUIRED:
        if not fields.get(name):
            raise BadData(f"field {name!r} is missing; every event needs {', '.join(_REQUIRED)}")
    for name, most_bytes in _MOST_BYTES.items():
        text = str(fields.get(name) or "")
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:  # JSON can write half a surrogate pair
            raise BadData(f"field {name!r} is {text!r}: must be Unicode text") from error
        if size > most_bytes:
            raise BadData(f"field {name!r} has {size} bytes: must be at most {most_bytes}")


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise BadData(f"field 'time' is {text!r}: must be ISO 8601, such as 2026-01-31T12:00:00Z") from error
