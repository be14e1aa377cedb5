"""Erases events in the segments of an event log while others read and write it, and counts what is left."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from banquet.core.evaluation_users import PREFIX, is_evaluation_user
from banquet.feedback.events import decode_with_places, erased
from banquet.feedback.segments import is_sealed, segment_names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from banquet.feedback.events import Event

_LIVE_MODE, _SEALED_MODE = 0o644, 0o444


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are meant; `having` are bytes that each of their records has, so that most need not be decoded."""

    having: bytes
    is_meant: Callable[[Event], bool]


def events_of(user_id: str) -> Wanted:
    return Wanted(json.dumps(user_id).encode(), lambda event: event.user_id == user_id)


EVENTS_OF_EVALUATION = Wanted(f'"{PREFIX}'.encode(), lambda event: is_evaluation_user(event.user_id))


def erase_events(log_folder: Path, wanted: Wanted) -> list[str]:
    """Overwrite the events in all segments and return their ids. Records keep their length, so that readers keep their place."""
    return [event_id for name in _names(log_folder) for event_id in _erase_in(log_folder / name, wanted)]


def count_events(log_folder: Path, wanted: Wanted, until_us: int) -> int:
    """How many of the events happened up to a time."""
    return sum(_count_in(log_folder / name, wanted, until_us) for name in _names(log_folder))


def _names(log_folder: Path) -> list[str]:
    return segment_names(log_folder) if log_folder.is_dir() else []


def _count_in(path: Path, wanted: Wanted, until_us: int) -> int:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return 0
    found = decode_with_places(data, wanted.having)
    return sum(wanted.is_meant(event) and event.time_us <= until_us for event, _, _ in found)


def _erase_in(path: Path, wanted: Wanted) -> list[str]:
    try:
        data = path.read_bytes()
        found = path.stat()
    except FileNotFoundError:  # an empty segment was given up, or an old one deleted
        return []
    places = [
        (event.event_id, start, end) for event, start, end in decode_with_places(data, wanted.having) if wanted.is_meant(event)
    ]
    if not places:
        return []
    sealed = is_sealed(found)
    path.chmod(_LIVE_MODE)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            for _, start, end in places:
                os.pwrite(file, erased(end - start), start)
            os.fdatasync(file)
        finally:
            os.close(file)
    finally:
        if sealed:
            path.chmod(_SEALED_MODE)
            # Its age decides when it is deleted.
            os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    return [event_id for event_id, _, _ in places]
