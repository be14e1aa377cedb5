"""Deletes segments of the log that are old enough and that every consumer has taken."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from banquet.feedback.segments import is_sealed, segment_names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TAKEN = "taken"
_DAY_S = 86_400
_LOOK_EVERY_S = 60.0


class Retention:
    """One consumer's part in it. What it has taken in full stands in `taken/<name>.json` in the log's folder.

    A segment is deleted when it is sealed, when nothing was added to it for `days`, and when every file in `taken` names it. So a
    consumer that is gone for good leaves a file there that must be deleted by hand. days 0: segments stay for ever.
    """

    def __init__(self, folder: Path, name: str, days: int) -> None:
        self._folder = folder
        self._note = folder / TAKEN / f"{name}.json"
        self._days = days
        self._not_before_s = 0.0

    def sweep(self, offsets: Mapping[str, int]) -> list[str]:
        """Look once a minute; returns the names of segments that are no more but stand in `offsets`."""
        if not self._days or time.monotonic() < self._not_before_s:
            return []
        self._not_before_s = time.monotonic() + _LOOK_EVERY_S
        found = {name: (self._folder / name).stat() for name in segment_names(self._folder)}
        taken = [name for name, stat in found.items() if is_sealed(stat) and offsets.get(name, 0) >= stat.st_size]
        self._tell(taken)
        by_all = set(taken).intersection(*map(_names, (self._folder / TAKEN).glob("*.json")))
        before_s = time.time() - self._days * _DAY_S
        for name in by_all:
            if found[name].st_mtime < before_s:
                (self._folder / name).unlink(missing_ok=True)
                del found[name]
        return [name for name in offsets if name not in found]

    def _tell(self, taken: list[str]) -> None:
        text = json.dumps(sorted(taken))
        self._note.parent.mkdir(exist_ok=True)
        if not self._note.exists() or self._note.read_text() != text:
            part = self._note.with_name(f".{self._note.name}.{os.getpid()}.part")
            part.write_text(text)
            part.replace(self._note)


def _names(note: Path) -> set[str]:
    return set(json.loads(note.read_text()))
