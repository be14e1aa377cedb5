"""Makes a SQLite online store hold a dataset and nothing else, while it is being read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from banquet.features.offline.sources import base_file

if TYPE_CHECKING:
    from pathlib import Path

    from banquet.features.project.layout import Layout

BUSY_TIMEOUT_S = 30.0


def let_readers_in(file: Path) -> None:
    """Switch the store to write-ahead logging for good: otherwise a materialization locks all readers out until it is done."""
    with closing(sqlite3.connect(file, timeout=BUSY_TIMEOUT_S)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def forget_absent(file: Path, layout: Layout, data: Path) -> None:
    """Delete the entities that a view's parquet in `data` does not have (left over from another dataset), all in one moment."""
    with closing(sqlite3.connect(file, timeout=BUSY_TIMEOUT_S)) as connection, connection:
        for view in layout.views:
            keys = view.keys()
            (key,) = view.join_keys
            ids = pq.read_table(base_file(data, view.name), columns=[key])[key].to_pylist()
            connection.execute("CREATE TEMP TABLE present (entity_key BLOB PRIMARY KEY) WITHOUT ROWID")
            connection.executemany("INSERT OR IGNORE INTO present VALUES (?)", ((keys.encode(str(each)),) for each in ids))
            table = f'"{layout.project}_{view.table}"'
            connection.execute(f"DELETE FROM {table} WHERE entity_key NOT IN (SELECT entity_key FROM present)")  # noqa: S608
            connection.execute("DROP TABLE present")
