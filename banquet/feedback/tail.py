"""Follows all segments of an event log and hands out what was appended since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from banquet.feedback.events import Records, decode
from banquet.feedback.segments import is_sealed, segment_names

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from banquet.feedback.events import Event

_CHUNK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in the order of their segments; `offsets` (bytes by segment) is where to go on once they are dealt with."""

    events: list[Event]
    offsets: Mapping[str, int]
    damaged: int


class Tail:
    """Reads from where `offsets` say; the caller keeps those and passes them back. Raises `OSError` on an unreadable folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._finished: set[str] = set()
        self._last = ""

    def read(self, offsets: Mapping[str, int], max_events: int) -> Batch:
        """What is new, at least one chunk of a segment and about `max_events`; no segment is served twice before the others."""
        events: list[Event] = []
        moved: dict[str, int] = {}
        damaged = 0
        for name in self._in_turn():
            records = self._new_records(name, offsets.get(name, 0))
            if records.consumed:
                moved[name] = offsets.get(name, 0) + records.consumed
                events += records.events
                damaged += records.damaged
                self._last = name
            if len(events) >= max_events:
                break
        return Batch(events, moved, damaged)

    def backlog_bytes(self, offsets: Mapping[str, int]) -> int:
        """How much of the log has not been dealt with."""
        found = {name: self._stat(name) for name in segment_names(self._folder)}
        return sum(max(0, stat.st_size - offsets.get(name, 0)) for name, stat in found.items() if stat is not None)

    def _in_turn(self) -> list[str]:
        """Segments that may hold something new, beginning after the one served last."""
        names = [name for name in segment_names(self._folder) if name not in self._finished]
        return [name for name in names if name > self._last] + [name for name in names if name <= self._last]

    def _new_records(self, name: str, offset: int) -> Records:
        found = self._stat(name)
        if found is None or found.st_size <= offset:
            if found is not None and is_sealed(found):
                self._finished.add(name)
            return Records([], 0, 0)
        with (self._folder / name).open("rb") as file:
            file.seek(offset)
            data = file.read(_CHUNK_BYTES)
            records = decode(data)
            while records.consumed == 0 and (more := file.read(len(data))):  # a record longer than all this
                data += more
                records = decode(data)
            return records

    def _stat(self, name: str) -> os.stat_result | None:
        try:
            return (self._folder / name).stat()
        except FileNotFoundError:  # a writer gave up a segment that was still empty
            return None
