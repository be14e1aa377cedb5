"""Scans the item views of a SQLite online store: one read transaction, one pass per view."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from banquet.core.errors import StageFailed
from banquet.features.item_columns import ScannedView
from banquet.features.sqlite import connect

if TYPE_CHECKING:
    from pathlib import Path

    from banquet.features.layout import Layout, View

BUSY_TIMEOUT_S = 5.0


class SqliteItems:
    """The items of one SQLite file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._watch: sqlite3.Connection | None = None
        self._inode = 0
        self._watches = 0

    def state(self) -> object:
        """Differs from an earlier one when anyone has written to the store since. Raises `StageFailed`."""
        try:
            inode = self._file.stat().st_ino
            if self._watch is None or inode != self._inode:
                self.close()
                self._watch, self._inode = connect(self._file, BUSY_TIMEOUT_S), inode
                self._watches += 1
            # Counts the commits of other connections, from wherever this connection began.
            return self._watches, self._watch.execute("PRAGMA data_version").fetchone()
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise StageFailed("unavailable", f"{self._file}: {error}") from error

    def scan(self, layout: Layout) -> list[ScannedView]:
        """Every item's cells, all of one moment. Raises `StageFailed` when the store cannot be read."""
        try:
            with closing(connect(self._file, BUSY_TIMEOUT_S)) as connection:
                connection.execute("BEGIN")
                return [_scan(connection, layout.project, view) for view in layout.items]
        except sqlite3.Error as error:
            raise StageFailed("unavailable", f"{self._file}: {error}") from error

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None


def _scan(connection: sqlite3.Connection, project: str, view: View) -> ScannedView:
    scanned = ScannedView.empty(view)
    keys = view.keys()
    ids: dict[bytes, str | None] = {}
    seconds: dict[str, int] = {}
    query = f'SELECT entity_key, feature_name, value, event_ts FROM "{project}_{view.table}"'  # noqa: S608 - names from the registry
    for key, name, blob, time_s in connection.execute(query):
        item = ids[key] if key in ids else ids.setdefault(key, keys.parse(key))
        cells = scanned.cells.get(name)
        if item is None or cells is None:
            continue
        cells[item] = blob
        seconds[item] = time_s
    moments = {time_s: _utc_us(time_s) for time_s in set(seconds.values())}
    scanned.times_us.update((item, moments[time_s]) for item, time_s in seconds.items())
    return scanned


def _utc_us(time_s: int) -> int:
    """Feast writes UTC as if it were local time, and its reader takes that back the same way; so do we."""
    naive = datetime.fromtimestamp(time_s)  # noqa: DTZ006 - local time is what was written
    return int(naive.replace(tzinfo=UTC).timestamp()) * 1_000_000
