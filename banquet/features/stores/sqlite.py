"""Feast's SQLite online store, on a read-only connection of our own in one thread beside the event loop."""

from __future__ import annotations

import sqlite3
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from banquet.core.errors import StageFailed
from banquet.features.stores.cells import NOTHING
from banquet.features.stores.local_times import utc_us
from banquet.features.stores.side_thread import SideThread

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo
    from pathlib import Path

    from banquet.features.stores.cells import Part, StoredRow

KEYS_AT_ONCE = 8192


def connect(file: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """A read-only connection that may be used from any thread; raises `sqlite3.Error`.

    No `detect_types`: Feast's converters would shift times by the machine's time zone.
    """
    uri = f"{file.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)


class SqliteCells:
    """A `CellStore` on a SQLite file: one transaction per question, so that all views are of one moment.

    A locked store costs at most `busy_timeout_s`. `zone` is that of whoever writes to it, by default this process's own.
    """

    absent_is_present = False

    def __init__(self, file: Path, busy_timeout_s: float = 0.05, zone: tzinfo | None = None) -> None:
        self._file = file
        self._zone = zone
        self._busy_timeout_s = busy_timeout_s
        self._thread = SideThread("user-reads")
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    async def fetch(
        self, project: str, parts: Sequence[Part], keys: Sequence[Sequence[bytes]]
    ) -> list[list[StoredRow | StageFailed]]:
        return await self._thread.run(partial(self._fetch, project, parts, keys))

    async def aclose(self) -> None:
        await self._thread.run(self._disconnect)
        self._thread.close()

    def _fetch(self, project: str, parts: Sequence[Part], keys: Sequence[Sequence[bytes]]) -> list[list[StoredRow | StageFailed]]:
        try:
            connection = self._connected()
            connection.execute("BEGIN")
            if not any(keys):
                # Without a key to ask for, at least whether the file can be read.
                connection.execute("PRAGMA schema_version")
            rows = [_read(connection, project, part, its, self._zone) for part, its in zip(parts, keys, strict=True)]
            connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._disconnect()
            raise StageFailed("unavailable", f"{self._file}: {error}") from error
        return rows

    def _connected(self) -> sqlite3.Connection:
        # A store that was torn down and made anew is another file under the same name.
        inode = self._file.stat().st_ino
        if self._connection is None or inode != self._inode:
            self._disconnect()
            self._connection, self._inode = connect(self._file, self._busy_timeout_s), inode
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _read(
    connection: sqlite3.Connection, project: str, part: Part, keys: Sequence[bytes], zone: tzinfo | None
) -> list[StoredRow | StageFailed]:
    at = {name: number for number, name in enumerate(part.features)}
    blank: list[bytes | None] = [None] * len(at)
    cells: dict[bytes, list[bytes | None]] = {}
    times: dict[bytes, int | None] = {}
    for first in range(0, len(keys), KEYS_AT_ONCE):
        for key, feature, blob, time_s in connection.execute(*_question(project, part, keys[first : first + KEYS_AT_ONCE])):
            its = cells.get(key)
            if its is None:
                its = cells[key] = blank.copy()
            # The last one counts, as for Feast's reader.
            times[key] = time_s
            number = at.get(feature)
            if number is not None:
                its[number] = blob
    moments = {key: None if time_s is None else utc_us(time_s, zone) for key, time_s in times.items()}
    return [(moments[key], cells[key]) if key in cells else NOTHING for key in keys]


def _question(project: str, part: Part, keys: Sequence[bytes]) -> tuple[str, Sequence[bytes]]:
    """Feast's own statement, so that rows come in its order. The number of keys is rounded up: few statements to prepare."""
    width = 1 << (len(keys) - 1).bit_length()
    return _statement(project, part.view.table, width), [*keys, *[keys[0]] * (width - len(keys))]


@lru_cache
def _statement(project: str, table: str, width: int) -> str:
    name = f"{project}_{table}".replace('"', '""')
    marks = ",".join("?" * width)
    return f'SELECT entity_key, feature_name, value, event_ts FROM "{name}" WHERE entity_key IN ({marks}) ORDER BY entity_key'  # noqa: S608
