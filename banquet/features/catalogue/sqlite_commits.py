"""Whether every write to a SQLite file was told of by whoever writes through Banquet.

SQLite counts commits in the file itself (source: sqlite.org/fileformat2.html, "file change counter") or, with write-ahead
logging, in the log's index (sqlite.org/walformat.html, "iChange"). Those that write through Banquet say how many commits they
made: what is counted beyond that was someone else's.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

_HEADER = 48
_COUNTED_IN_LOG = 8
_COUNTED_IN_FILE = 24
_TRIES = 5
# A writer commits first and tells then; so long it may take.
GRACE_S = 0.5


class CommitCount:
    """Reads the count of one SQLite file, of which this process may have any number of connections.

    Its handles stay open: closing one would drop every lock that SQLite holds on the file for this process (fcntl(2)), and a
    writer elsewhere, taking itself for the last user, would remove the log from under our connections.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._handles: dict[Path, int] = {}

    def read(self, connection: sqlite3.Connection) -> int | None:
        """Commits so far, from wherever SQLite began to count; None when it cannot be told. Raises `sqlite3.Error`."""
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        try:
            if mode != "wal":
                return int.from_bytes(os.pread(self._handle(self._file), 4, _COUNTED_IN_FILE), "big")
            handle = self._handle(self._file.with_name(f"{self._file.name}-shm"))
            for _ in range(_TRIES):
                both = os.pread(handle, 2 * _HEADER, 0)
                # There are two copies, which differ while a writer is at it.
                if both[:_HEADER] == both[_HEADER:] and len(both) == 2 * _HEADER:
                    return int(struct.unpack_from("=I", both, _COUNTED_IN_LOG)[0])
        except OSError:
            return None
        return None

    def close(self) -> None:
        """After the last connection of this process."""
        for handle in self._handles.values():
            os.close(handle)
        self._handles.clear()

    def _handle(self, path: Path) -> int:
        """Of the file that lies there now: one under the same name that is another is no longer anybody's."""
        known = self._handles.get(path)
        if known is not None and os.path.samestat(os.fstat(known), path.stat()):
            return known
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if known is not None:
            os.close(known)
        self._handles[path] = opened
        return opened


class Ledger:
    """Commits counted against commits told. `foreign` says that there was one nobody told of.

    After a foreign one, and at the beginning, nothing is believed for a moment: commits may be on their way to being told.
    """

    def __init__(self) -> None:
        self._base: int | None = None
        self._told = 0
        self._open: deque[tuple[float, int]] = deque()
        self._blind_until_s = 0.0
        self.as_of_s = 0.0

    def foreign(self, counted: int | None, told: int, now_s: float) -> bool:
        """Look at the counters at a moment (unix seconds). `as_of_s` is then until when every commit is accounted for."""
        if counted is None or self._base is None or now_s < self._blind_until_s:
            changed = counted is None or counted != self._base
            if self._base is None or counted is None:
                self._blind_until_s = now_s + GRACE_S
            self._begin(counted, now_s)
            return changed
        self._told += told
        if counted != (self._open[-1][1] if self._open else self._base):
            self._open.append((now_s, counted))
        while self._open and self._open[0][1] - self._base <= self._told:
            self.as_of_s, counted_then = self._open.popleft()
            self._told -= counted_then - self._base
            self._base = counted_then
        if not self._open:
            self.as_of_s = now_s
        late = bool(self._open) and now_s - self._open[0][0] > GRACE_S
        # More was told than counted: the count began anew.
        if late or (not self._open and self._told) or counted < self._base:
            self._blind_until_s = now_s + GRACE_S
            self._begin(counted, now_s)
            return True
        return False

    def _begin(self, counted: int | None, now_s: float) -> None:
        self._base, self._told, self.as_of_s = counted, 0, now_s
        self._open.clear()
