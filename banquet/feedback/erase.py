"""Erases a person, or all evaluation users, from the event log and the consumer's state, while both are at work."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from banquet.core.evaluation_users import EVERY_EVALUATION_USER
from banquet.feedback.erase_log import EVENTS_OF_EVALUATION, count_events, erase_events, events_of
from banquet.feedback.schema import open_state
from banquet.feedback.state import now_us, person

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_BUSY_S = 30.0
# The consumer must not wait for a long transaction.
_IDS_AT_ONCE = 2_000
_ALWAYS_US = 2**63 - 1


def erase_user(log_folder: Path, state_path: Path, user_id: str) -> int:
    """Overwrite a user's events in all segments and delete the user's rows; returns the number of events erased.

    Records keep their length, so that nobody who reads the log loses the place. What the user did until now is not counted any
    more, wherever it arrives from. The consumer then removes the user from the online store and the files of the offline
    store (`is_erased_online`), at once or when it runs again. Raises `OSError` and `sqlite3.Error`.
    """
    state_path.parent.mkdir(parents=True, exist_ok=True)
    with closing(open_state(state_path, _BUSY_S)) as database:
        # The state first: from here on the consumer counts none of the user's events, also those it has read already.
        _erase_rows(database, user_id)
        ids = erase_events(log_folder, events_of(user_id))
        _forget_ids(database, ids)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return len(ids)


def erase_evaluation_users(log_folder: Path, state_path: Path) -> int:
    """Overwrite the events of all evaluation users in one pass; returns their number.

    The consumer then removes the users from the online store and from its state. They may come again, with events of any time.
    Raises `OSError` and `sqlite3.Error`.
    """
    state_path.parent.mkdir(parents=True, exist_ok=True)
    with closing(open_state(state_path, _BUSY_S)) as database:
        # The log first: what the consumer has read by then it counts before it removes them, and it can read no more.
        ids = erase_events(log_folder, EVENTS_OF_EVALUATION)
        _forget_ids(database, ids)
        _erase_online(database, EVERY_EVALUATION_USER)
    return len(ids)


def is_erased_online(state_path: Path, user_id: str) -> bool:
    """Whether the consumer has removed a user who was erased here (or every evaluation user) from the stores."""
    with closing(_read_only(state_path)) as database:
        found = database.execute("SELECT online FROM erased WHERE person = ?", (person(user_id),)).fetchone()
        return found is not None and found[0] is None


def known_evaluation_users(state_path: Path) -> list[str]:
    """Those of the last evaluation, also after they were forgotten, and of all that were not forgotten."""
    with closing(_read_only(state_path)) as database:
        return [user for (user,) in database.execute("SELECT id FROM evaluation_ids")]


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
    return stored + count_events(log_folder, events_of(user_id), now_us() if found is None else found[0])


def count_evaluation_users(log_folder: Path, state_path: Path) -> int:
    """What the log and the state hold of all evaluation users: rows and events. Raises `OSError` and `sqlite3.Error`."""
    with closing(open_state(state_path, _BUSY_S)) as database:
        stored: int = sum(
            database.execute(
                f"SELECT count(*) FROM {table} WHERE kind = 'user' AND id IN (SELECT id FROM evaluation_ids)"  # noqa: S608
            ).fetchone()[0]
            for table in ("activity", "unpushed")
        )
    return stored + count_events(log_folder, EVENTS_OF_EVALUATION, _ALWAYS_US)


def _read_only(state_path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{state_path}?mode=ro", uri=True)


def _erase_rows(database: sqlite3.Connection, user_id: str) -> None:
    database.execute("BEGIN IMMEDIATE")
    for table in ("activity", "recent", "unpushed"):
        database.execute(f"DELETE FROM {table} WHERE kind IN ('user', 'user_recent') AND id = ?", (user_id,))  # noqa: S608
    database.execute("DELETE FROM offline WHERE view LIKE 'user%' AND json_extract(row, '$[0]') = ?", (user_id,))
    _erase_online(database, user_id)
    database.execute("COMMIT")


def _erase_online(database: sqlite3.Connection, user_id: str) -> None:
    # Named in clear until the consumer has removed the user from the stores.
    database.execute("INSERT OR REPLACE INTO erased VALUES (?, ?, ?)", (person(user_id), now_us(), user_id))


def _forget_ids(database: sqlite3.Connection, event_ids: Sequence[str]) -> None:
    # In the order of the table, so that each of its pages is written once.
    ids = sorted(event_ids)
    for start in range(0, len(ids), _IDS_AT_ONCE):
        database.execute("BEGIN IMMEDIATE")
        some = ids[start : start + _IDS_AT_ONCE]
        database.executemany("DELETE FROM counted WHERE event_id = ?", [(event_id,) for event_id in some])
        database.execute("COMMIT")
