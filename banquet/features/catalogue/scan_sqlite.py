"""Reads the item views of a SQLite online store: all of them in one read transaction, or the rows of a few items."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from banquet.core.errors import StageFailed
from banquet.features.catalogue.item_store import Changes
from banquet.features.catalogue.sqlite_commits import CommitCount, Ledger
from banquet.features.stores.encoding import BadValue
from banquet.features.stores.local_times import utc_us
from banquet.features.stores.sqlite import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from banquet.features.catalogue.item_columns import ItemTable, ViewTable
    from banquet.features.project.layout import Layout, View

    Cell = tuple[bytes, str, bytes | None, int]

BUSY_TIMEOUT_S = 5.0
CELLS = 50_000
KEYS = 500
# Room for the pages of a scan, in KiB; a larger store is read through the system's cache.
CACHE_KIB = 16_384


class SqliteItems:
    """The items of one SQLite file.

    SQLite tells that there were commits, not what they wrote: `changes` says "others" when one was not told of.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._watch: sqlite3.Connection | None = None
        self._inode = 0
        self._seen: object = None
        self._ledger = Ledger()
        self._count = CommitCount(file)

    def changes(self, layout: Layout, told: int = 0) -> Changes:  # noqa: ARG002 - SQLite tells no more than that there are some
        now_s = time.time()
        begun_anew, state, counted = self._state()
        written, self._seen = state != self._seen, state
        if counted is None:
            return Changes(others=begun_anew or written, as_of_s=now_s)
        foreign = self._ledger.foreign(counted, told, now_s)
        return Changes(others=begun_anew or foreign, as_of_s=self._ledger.as_of_s)

    def scan(self, layout: Layout, table: ItemTable) -> Iterator[None]:
        try:
            with closing(connect(self._file, BUSY_TIMEOUT_S)) as connection:
                connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
                connection.execute("BEGIN")
                for view in table.views.values():
                    yield from _scan(connection, layout.project, table, view)
        except sqlite3.Error as error:
            raise StageFailed("unavailable", f"{self._file}: {error}") from error

    def read(self, layout: Layout, table: ItemTable, item_ids: Sequence[str], views: Sequence[str]) -> None:
        try:
            with closing(connect(self._file, BUSY_TIMEOUT_S)) as connection:
                connection.execute("BEGIN")
                for name in views:
                    for at in range(0, len(item_ids), KEYS):
                        _read(connection, layout.project, table, table.views[name], item_ids[at : at + KEYS])
        except sqlite3.Error as error:
            raise StageFailed("unavailable", f"{self._file}: {error}") from error

    def close(self) -> None:
        self._disconnect()
        self._count.close()

    def _disconnect(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _state(self) -> tuple[bool, object, int | None]:
        """Whether it is another file or connection than before, a mark of its content, and how many commits it counts."""
        try:
            inode = self._file.stat().st_ino
            begun_anew = self._watch is None or inode != self._inode
            if begun_anew:
                self._disconnect()
                self._watch, self._inode, self._ledger = connect(self._file, BUSY_TIMEOUT_S), inode, Ledger()
            assert self._watch is not None, "made just now if it was not there"
            # Changes with every commit of others; asking also opens the log's index.
            mark = self._watch.execute("PRAGMA data_version").fetchone()
            return begun_anew, mark, self._count.read(self._watch)
        except (sqlite3.Error, OSError) as error:
            self._disconnect()
            raise StageFailed("unavailable", f"{self._file}: {error}") from error


def _scan(connection: sqlite3.Connection, project: str, table: ItemTable, view: ViewTable) -> Iterator[None]:
    """In the order they were written, items usually lie one after the other with all their features; that goes fast."""
    names = _names_of_first(connection, project, view.view)
    if names:
        question = f"{_cells(project, view.view)} ORDER BY rowid"
        cursor = connection.execute(question)
        while cells := cursor.fetchmany(len(names) * (CELLS // len(names) or 1)):
            if not _put_even(table, view, names, cells):
                break
            yield
        else:
            return
    # Otherwise by key, which the table has an index for.
    cursor = connection.execute(f"{_cells(project, view.view)} ORDER BY entity_key, rowid")
    by_key = groupby(cursor, itemgetter(0))
    rows: list[tuple[bytes, list[Cell]]] = []
    for key, its in by_key:
        rows.append((key, list(its)))
        if len(rows) * len(view.view.features) >= CELLS:
            _put(table, view, rows)
            rows = []
            yield
    _put(table, view, rows)


def _read(connection: sqlite3.Connection, project: str, table: ItemTable, view: ViewTable, item_ids: Sequence[str]) -> None:
    keys = view.view.keys()
    wanted: dict[bytes, str] = {}
    for item in item_ids:
        try:
            wanted[keys.encode(item)] = item
        except BadValue:
            # Such an item cannot be in the store.
            continue
    if not wanted:
        return
    marks = ",".join("?" * len(wanted))
    question = f"{_cells(project, view.view)} WHERE entity_key IN ({marks}) ORDER BY entity_key, rowid"
    found = {key: list(its) for key, its in groupby(connection.execute(question, list(wanted)), itemgetter(0))}
    _put(table, view, [(key, found.get(key, [])) for key in wanted])


def _put_even(table: ItemTable, view: ViewTable, names: tuple[str, ...], cells: Sequence[Cell]) -> bool:
    """Put items that have the same features in the same order, and each of them all; False when these do not."""
    width = len(names)
    keys, features, blobs, times = zip(*cells, strict=True)
    count = len(cells) // width
    if features != names * count or any(keys[at::width] != keys[::width] for at in range(1, width)):
        return False
    ids = [view.view.keys().parse(key) for key in keys[::width]] if count else []
    known = [place for place, item in enumerate(ids) if item is not None]
    whole = len(known) == len(ids)
    columns = {name: blobs[at::width] for at, name in enumerate(names)}
    nothing: tuple[None, ...] = (None,) * count
    picked: dict[str, Sequence[bytes | None]] = {name: columns.get(name, nothing) for name in view.columns}
    if not any(name in columns for name in view.view.features):
        return True
    if not whole:
        picked = {name: [its[place] for place in known] for name, its in picked.items()}
    seconds = times[width - 1 :: width] if whole else [times[place * width + width - 1] for place in known]
    rows = table.rows_of([item for item in ids if item is not None])
    moments = {time_s: utc_us(time_s) for time_s in set(seconds)}
    view.put(rows, picked, [moments[time_s] for time_s in seconds])
    return True


def _put(table: ItemTable, view: ViewTable, rows: Sequence[tuple[bytes, Sequence[Cell]]]) -> None:
    """Put items by key, with whatever cells each has; an item without any feature of the view is none of the view's."""
    keys = view.view.keys()
    its: list[tuple[str, dict[str, bytes | None], int | None]] = []
    for key, cells in rows:
        item = keys.parse(key)
        if item is None:
            continue
        found = {feature: blob for _, feature, blob, _ in cells if feature in view.view.features}
        # As Feast, whose question goes by the same order: the time is that of the cell that was written first last.
        its.append((item, found, utc_us(cells[-1][3]) if found else None))
    cells_of = {name: [found.get(name) for _, found, _ in its] for name in view.columns}
    view.put(table.rows_of([item for item, _, _ in its]), cells_of, [time_us for _, _, time_us in its])


def _cells(project: str, view: View) -> str:
    # The names come from the registry.
    return f'SELECT entity_key, feature_name, value, event_ts FROM "{project}_{view.table}"'  # noqa: S608


def _names_of_first(connection: sqlite3.Connection, project: str, view: View) -> tuple[str, ...]:
    """The features of the item that was written first, in the order they lie there."""
    table = f'"{project}_{view.table}"'
    first = f"SELECT entity_key FROM {table} ORDER BY rowid LIMIT 1"  # noqa: S608
    question = f"SELECT feature_name FROM {table} WHERE entity_key = ({first}) ORDER BY rowid"  # noqa: S608
    return tuple(name for (name,) in connection.execute(question))
