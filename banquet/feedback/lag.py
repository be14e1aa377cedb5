"""How far the consumer is behind the log, seen from outside."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from banquet.feedback.tail import Tail

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Lag:
    """`unread_bytes` of the log and rows derived but not pushed yet; all zero when every event is visible."""

    unread_bytes: int
    unpushed_users: int
    unpushed_items: int

    @property
    def none(self) -> bool:
        return self == Lag(0, 0, 0)


def consumer_lag(log_folder: Path, state_path: Path) -> Lag:
    """Safe to call from any process at any time; a consumer that has not begun has everything before it."""
    offsets: dict[str, int] = {}
    unpushed: dict[str, int] = {}
    if state_path.exists():
        with closing(sqlite3.connect(f"file:{state_path}?mode=ro", uri=True)) as db:
            if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'unpushed'").fetchone():
                offsets = dict(db.execute("SELECT name, offset FROM segments"))
                unpushed = dict(db.execute("SELECT kind, count(*) FROM unpushed GROUP BY kind"))
    unread = Tail(log_folder).backlog_bytes(offsets) if log_folder.is_dir() else 0
    return Lag(unread, unpushed.get("user", 0), unpushed.get("item", 0))
