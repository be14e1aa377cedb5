"""Erases a person from the event log and the consumer's state, while both are at work."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from banquet.feedback.events import decode_with_places, erased
from banquet.feedback.schema import open_state
from banquet.feedback.segments import is_sealed, segment_names
from banquet.feedback.state import now_us, person

if TYPE_CHECKING:
    from pathlib import Path

_BUSY_S = 30.0
_LIVE_MODE, _SEALED_MODE = 0o644, 0o444


def erase_user(log_folder: Path, state_path: Path, user_id: str) -> int:
    """Overwrite a user's events in all segments and delete the user's rows; returns the number of events erased.

    Records keep their length, so that nobody who reads the log loses the place. What the user did until now is not counted any
    more, wherever it arrives from. The consumer then removes the user from the online store and the files of the offline
    store (`is_erased_online`), at once or when it runs again. Raises `OSError` and `sqlite3.Error`.
    """
    state_path.parent.mkdir(parents=True, exist_ok=True)
    names = segment_names(log_folder) if log_folder.is_dir() else []
    # The state first: from here on the consumer counts none of the user's events, also those it has read already.
    with closing(open_state(state_path, _BUSY_S)) as database:
        _erase_rows(database, user_id)
        ids = [event_id for name in names for event_id in _erase_in(log_folder / name, user_id)]
        database.executemany("DELETE FROM counted WHERE event_id = ?", [(event_id,) for event_id in ids])
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return len(ids)


def is_erased_online(state_path: Path, user_id: str) -> bool:
    """Whether the consumer has removed a user who was erased here from the stores."""
    with closing(sqlite3.connect(f"file:{state_path}?mode=ro", uri=True)) as database:
        found = database.execute("SELECT online FROM erased WHERE person = ?", (person(user_id),)).fetchone()
        return found is not None and found[0] is None


def count_user(log_folder: Path, state_path: Path, user_id: str) -> int:
    """What the log and the state hold of a user: rows, and events from before the user was erased, or all when never.

    Raises `OSError` and `sqlite3.Error`.
    """
    with closing(open_state(state_path, _BUSY_S)) as database:
        # Until this the file has what the consumer struck off: whom to remove from the stores.
        if database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            raise sqlite3.OperationalError(f"{state_path} is in use: what was deleted cannot be overwritten yet")
        found = database.execute("SELECT at_us FROM erased WHERE person = ?", (person(user_id),)).fetchone()
        rows = [
            database.execute(f"SELECT count(*) FROM {table} WHERE kind IN ('user', 'user_recent') AND id = ?", (user_id,))  # noqa: S608
            for table in ("activity", "recent", "unpushed")
        ]
        kept = database.execute(
            "SELECT count(*) FROM offline WHERE view LIKE 'user%' AND json_extract(row, '$[0]') = ?", (user_id,)
        )
        stored: int = sum(answer.fetchone()[0] for answer in (*rows, kept))
    until_us = now_us() if found is None else found[0]
    names = segment_names(log_folder) if log_folder.is_dir() else []
    return stored + sum(_count_in(log_folder / name, user_id, until_us) for name in names)


def _count_in(path: Path, user_id: str, until_us: int) -> int:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return 0
    return sum(event.user_id == user_id and event.time_us <= until_us for event, _, _ in decode_with_places(data))


def _erase_rows(database: sqlite3.Connection, user_id: str) -> None:
    database.execute("BEGIN IMMEDIATE")
    for table in ("activity", "recent", "unpushed"):
        database.execute(f"DELETE FROM {table} WHERE kind IN ('user', 'user_recent') AND id = ?", (user_id,))  # noqa: S608
    database.execute("DELETE FROM offline WHERE view LIKE 'user%' AND json_extract(row, '$[0]') = ?", (user_id,))
    # Named in clear until the consumer has removed the user from the stores.
    database.execute("INSERT OR REPLACE INTO erased VALUES (?, ?, ?)", (person(user_id), now_us(), user_id))
    database.execute("COMMIT")


def _erase_in(path: Path, user_id: str) -> list[str]:
    """Overwrite a user's records in a segment; returns their event ids."""
    try:
        data = path.read_bytes()
        found = path.stat()
    except FileNotFoundError:  # an empty segment was given up, or an old one deleted
        return []
    places = [(event.event_id, start, end) for event, start, end in decode_with_places(data) if event.user_id == user_id]
    if not places:
        return []
    sealed = is_sealed(found)
    path.chmod(_LIVE_MODE)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            for _, start, end in places:
                os.pwrite(file, erased(end - start), start)
            os.fdatasync(file)
        finally:
            os.close(file)
    finally:
        if sealed:
            path.chmod(_SEALED_MODE)
            # Its age decides when it is deleted.
            os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    return [event_id for event_id, _, _ in places]
