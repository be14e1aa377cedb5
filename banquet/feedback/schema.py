"""The tables of a consumer's state file."""

from __future__ import annotations

import secrets
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Whatever another base of the store makes worthless.
DERIVED = ("base", "activity", "recent", "unpushed", "offline")
_TABLES = """
BEGIN;
CREATE TABLE IF NOT EXISTS base (name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS segments (name TEXT PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counted (event_id TEXT PRIMARY KEY, day INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS counted_by_day ON counted (day);
CREATE TABLE IF NOT EXISTS activity (kind TEXT, id TEXT, activity TEXT NOT NULL, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS recent (
  kind TEXT, id TEXT, steps TEXT NOT NULL, at_us INTEGER NOT NULL, due_us INTEGER, PRIMARY KEY (kind, id)
);
CREATE INDEX IF NOT EXISTS recent_by_due ON recent (due_us) WHERE due_us IS NOT NULL;
CREATE TABLE IF NOT EXISTS unpushed (kind TEXT, id TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS offline (number INTEGER PRIMARY KEY AUTOINCREMENT, view TEXT NOT NULL, row TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS boot (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS set_aside (one INTEGER PRIMARY KEY CHECK (one = 1), events INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS erased (person TEXT PRIMARY KEY, at_us INTEGER NOT NULL, online TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS evaluation_ids (id TEXT PRIMARY KEY, met_us INTEGER NOT NULL) WITHOUT ROWID;
COMMIT;
"""


def open_state(path: Path, busy_s: float = 5.0) -> sqlite3.Connection:
    """The state file, made when it is missing. busy_s: patience with others at work on it. Raises `sqlite3.Error`."""
    database = sqlite3.connect(path, timeout=busy_s, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    # What is deleted is overwritten: a person who is forgotten leaves nothing in free pages.
    database.execute("PRAGMA secure_delete = ON")
    database.executescript(_TABLES)
    if database.execute("PRAGMA user_version").fetchone() == (0,):
        # Tells this file from another one in its place.
        database.execute(f"PRAGMA user_version = {secrets.randbelow(2**31 - 1) + 1}")
    return database
