"""How far the consumer is behind the log, seen from outside."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from banquet.feedback.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Lag:
    """`unread_bytes` of the log and rows derived but not pushed yet; all zero when every event is visible.

    `unpushed_recent_users` and `..._items` are those of the windowed counters.
    """

    unread_bytes: int
    unpushed_users: int
    unpushed_items: int
    unpushed_recent_users: int = 0
    unpushed_recent_items: int = 0

    @property
    def none(self) -> bool:
        return self == Lag(0, 0, 0)

    @property
    def unpushed(self) -> dict[str, int]:
        """Rows by the view they belong to."""
        return {
            "user_activity": self.unpushed_users,
            "item_activity": self.unpushed_items,
            "user_recent": self.unpushed_recent_users,
            "item_recent": self.unpushed_recent_items,
        }


def consumer_lag(log_folder: Path, state_path: Path) -> Lag:
    """Safe to call from any process at any time; a consumer that has not begun has everything before it."""
    offsets: dict[str, int] = {}
    unpushed: dict[str, int] = {}
    if state_path.exists():
        with closing(_connect(state_path)) as db:
            if _has(db, "unpushed"):
                offsets = dict(db.execute("SELECT name, offset FROM segments"))
                unpushed = dict(db.execute("SELECT kind, count(*) FROM unpushed GROUP BY kind"))
    unread = Tail(log_folder).backlog_bytes(offsets) if log_folder.is_dir() else 0
    return Lag(unread, *(unpushed.get(kind, 0) for kind in ("user", "item", "user_recent", "item_recent")))


def events_set_aside(states: Iterable[Path]) -> int:
    """How many events the consumers ever set aside because a user or an item in them cannot be in the store."""
    total = 0
    for path in states:
        if path.exists():
            with closing(_connect(path)) as db:
                # A state that no consumer of this version has opened yet has no such table.
                if _has(db, "set_aside"):
                    total += db.execute("SELECT coalesce(sum(events), 0) FROM set_aside").fetchone()[0]
    return total


def _connect(state_path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{state_path}?mode=ro", uri=True)


def _has(database: sqlite3.Connection, table: str) -> bool:
    return database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None
