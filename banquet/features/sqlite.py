"""Users from Feast's SQLite online store, on a read-only connection of our own in one thread beside the event loop."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from banquet.core.errors import StageFailed
from banquet.features.encoding import BadValue
from banquet.features.user_rows import UserRows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from banquet.core.query import UserFeatures
    from banquet.features.layout import Layout, LayoutFile
    from banquet.features.user_rows import Cell


def connect(file: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """A read-only connection that may be used from any thread; raises `sqlite3.Error`.

    No `detect_types`: Feast's converters would shift times by the machine's time zone.
    """
    uri = f"{file.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)


class SqliteUsers:
    """A `UserStore` on a SQLite file: one statement per round, so that all views are of one moment.

    A locked store costs at most `busy_timeout_s`.
    """

    def __init__(self, file: Path, layout: LayoutFile, busy_timeout_s: float = 0.05) -> None:
        self._file = file
        self._layout = layout
        self._busy_timeout_s = busy_timeout_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="user-reads")
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._rows: UserRows | None = None

    async def fetch(self, user_ids: Sequence[str]) -> list[UserFeatures | StageFailed]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._fetch, user_ids)

    async def aclose(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown(wait=False)

    def _fetch(self, user_ids: Sequence[str]) -> list[UserFeatures | StageFailed]:
        rows = self._shape(self._layout.current())
        keys = {user_id: key for user_id in user_ids if (key := _key(rows, user_id)) is not None}
        cells: dict[bytes, list[Cell]] = {key: [] for key in keys.values()}
        try:
            for key, feature, blob in self._connected().execute(*_question(rows, list(cells))) if cells else ():
                cells[key].append((feature, blob))
        except (sqlite3.Error, OSError) as error:
            self._disconnect()
            raise StageFailed("unavailable", f"{self._file}: {error}") from error
        found = [cells.get(keys.get(user_id, b""), []) for user_id in user_ids]
        return [rows.row(user_id, its, found=bool(its)) for user_id, its in zip(user_ids, found, strict=True)]

    def _shape(self, layout: Layout) -> UserRows:
        if self._rows is None or self._rows.layout is not layout:
            self._rows = UserRows(layout)
        return self._rows

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


def _key(rows: UserRows, user_id: str) -> bytes | None:
    try:
        return rows.keys.encode(user_id)
    except BadValue:
        # Such a user cannot be in the store.
        return None


def _question(rows: UserRows, keys: list[bytes]) -> tuple[str, list[bytes]]:
    """One statement over all views. The number of keys is rounded up, so that few statements need to be prepared."""
    width = 1 << (len(keys) - 1).bit_length()
    numbers = ",".join(f"?{number + 1}" for number in range(width))
    parts = (
        f'SELECT entity_key, feature_name, value FROM "{rows.layout.project}_{view.table}" WHERE entity_key IN ({numbers})'  # noqa: S608
        for view in rows.views
    )
    return " UNION ALL ".join(parts), keys + keys[:1] * (width - len(keys))
