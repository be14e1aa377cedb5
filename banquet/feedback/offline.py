"""Writes pushed rows to the offline store in batches, from a thread that the online way never waits for."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

from banquet.feedback.ports import KeptRow, StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from banquet.feedback.ports import OfflineStore

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 20_000
_READ_AT_ONCE = 500
_BUSY_S = 30.0


class OfflineThread:
    """Empties the state's table `offline` into `store` every `every_s` and at the end; what is left, the next run finds.

    Rows leave the table after the store took them, so that a crash repeats some and loses none.
    """

    def __init__(self, state_path: Path, store: OfflineStore | None, every_s: float) -> None:
        self._state_path = state_path
        self._store = store
        self._every_s = every_s
        self._stop = threading.Event()
        self._at_work = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="offline", daemon=True)
        if store is not None:
            self._thread.start()

    def start_over(self) -> None:
        """The table was emptied and the store filled anew: drop what was written before."""
        if self._store is not None:
            with self._at_work:
                self._store.start_over()

    def forget_user(self, user_id: str) -> None:
        """Between batches, so that none brings the user back."""
        if self._store is not None:
            with self._at_work:
                self._store.forget_user(user_id)

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        stopped = False
        while not stopped:
            stopped = self._stop.wait(self._every_s)
            try:
                with closing(sqlite3.connect(self._state_path, timeout=_BUSY_S, isolation_level=None)) as database:
                    # At the end once more, so that training finds what was pushed up to then.
                    while self._write_some(database) and not self._stop.is_set():
                        pass
            except (StoreUnavailable, sqlite3.OperationalError, OSError) as error:
                log.warning("the offline store waits, next try in %.0f s: %s", self._every_s, error)

    def _write_some(self, database: sqlite3.Connection) -> bool:
        """Write about `ROWS_AT_ONCE` rows. True when there are more."""
        assert self._store is not None, "there is no thread without a store"
        with self._at_work:
            first, last = database.execute(
                "SELECT min(number), max(number) FROM (SELECT number FROM offline ORDER BY number LIMIT ?)", (ROWS_AT_ONCE,)
            ).fetchone()
            if first is None:
                return False
            # The state's own number: after the file was lost, numbers begin again.
            state = database.execute("PRAGMA user_version").fetchone()[0]
            for view, rows in self._rows(database, first, last).items():
                self._store.append(view, rows, f"{state:08x}-{first:012d}-{last:012d}")
            # In pieces: the consumer must not wait for a long transaction.
            for start in range(first, last + 1, _READ_AT_ONCE):
                delete = "DELETE FROM offline WHERE number BETWEEN ? AND ?"
                database.execute(delete, (start, min(last, start + _READ_AT_ONCE - 1)))
        return bool(last - first + 1 >= ROWS_AT_ONCE)

    def _rows(self, database: sqlite3.Connection, first: int, last: int) -> dict[str, list[KeptRow]]:
        rows: dict[str, list[KeptRow]] = {}
        for start in range(first, last + 1, _READ_AT_ONCE):
            select = "SELECT view, row FROM offline WHERE number BETWEEN ? AND ?"
            for view, text in database.execute(select, (start, min(last, start + _READ_AT_ONCE - 1))):
                rows.setdefault(view, []).append(KeptRow(*json.loads(text)))
        return rows
