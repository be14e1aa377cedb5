"""The windowed features in the consumer's state: counted by step, slid when a step leaves its window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from banquet.feedback.ports import RecentRow
from banquet.feedback.windows import count, due_us, from_text, no_steps, slide, to_text, values_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from banquet.core.declared import Entity
    from banquet.feedback.events import Event
    from banquet.feedback.windows import Steps


class RecentState:
    """The table `recent`; every method belongs into a transaction of the caller's.

    `at_us` is the moment a row is for. It grows with every change, also when the clock is set back: stores drop a row that
    is not newer than theirs.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database

    def count(self, kind: Entity, events_of: Mapping[str, Sequence[Event]], now_us: int) -> None:
        """Count events by user or item id, each event not counted before."""
        find = "SELECT steps, at_us FROM recent WHERE kind = ? AND id = ?"
        for entity, events in events_of.items():
            found = self._db.execute(find, (kind, entity)).fetchone()
            steps, at_us = (no_steps(), 0) if found is None else (from_text(found[0]), found[1])
            count(steps, events, now_us)
            if found is not None or any(steps):
                self._put(kind, entity, steps, at_us, now_us)

    def slide(self, now_us: int, limit: int) -> int:
        """Slide the windows of those who are due, at most `limit`, and return their number."""
        find = "SELECT kind, id, steps, at_us FROM recent WHERE due_us <= ? ORDER BY due_us LIMIT ?"
        due = self._db.execute(find, (now_us, limit)).fetchall()
        for kind, entity, text, at_us in due:
            self._put(kind, entity, from_text(text), at_us, now_us)
        return len(due)

    def rows(self, kind: Entity, ids: Iterable[str]) -> list[RecentRow]:
        find = "SELECT steps, at_us FROM recent WHERE kind = ? AND id = ?"
        found = ((entity, self._db.execute(find, (kind, entity)).fetchone()) for entity in ids)
        return [RecentRow(entity, values_of(from_text(row[0])), row[1]) for entity, row in found if row is not None]

    def pushed(self, kind: Entity, ids: Iterable[str]) -> None:
        """Forget those whose windows are empty, now that the store knows."""
        forget = "DELETE FROM recent WHERE kind = ? AND id = ? AND due_us IS NULL"
        self._db.executemany(forget, [(kind, entity) for entity in ids])

    def _put(self, kind: str, entity: str, steps: Steps, at_us: int, now_us: int) -> None:
        slide(steps, now_us)
        row = (kind, entity, to_text(steps), max(now_us, at_us + 1), due_us(steps))
        self._db.execute("INSERT OR REPLACE INTO recent VALUES (?, ?, ?, ?, ?)", row)
        self._db.execute("INSERT OR IGNORE INTO unpushed VALUES (?, ?)", (f"{kind}_recent", entity))
