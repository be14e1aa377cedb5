"""What the consumer knows, in one SQLite file: how far it read, what it counted, what it derived, what it has yet to push.

One transaction takes a batch in whole. Rows are pushed from what is committed and struck off afterwards, so a crash at any point
makes the consumer push something again, never miss it or count it twice.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Literal

from banquet.feedback.derive import Activity, Visit, from_row, is_interaction, item_after, user_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from banquet.feedback.events import Event
    from banquet.feedback.ports import ActivityRow, ActivityStore
    from banquet.feedback.tail import Batch

    After: TypeAlias = Callable[[Activity, Iterable[Event]], Activity]

Kind = Literal["user", "item"]
_DAY_S = 86_400
_SCHEMA = """
BEGIN;
CREATE TABLE IF NOT EXISTS base (name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS segments (name TEXT PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counted (event_id TEXT PRIMARY KEY, day INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS counted_by_day ON counted (day);
CREATE TABLE IF NOT EXISTS activity (kind TEXT, id TEXT, activity TEXT NOT NULL, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS unpushed (kind TEXT, id TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID;
COMMIT;
"""


class ConsumerState:
    """Raises `sqlite3.Error` when the file is unusable.

    base: names what the online store was filled from; when it is another than last time, users and items start from their
    rows in the store again. remembered_days: a repeated event id counts again after that long.
    """

    def __init__(self, path: Path, *, base: str, remembered_days: int) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(_SCHEMA)
        self._start_from(base)
        self._remembered_days = remembered_days
        self._forgot_on_day = 0
        self.offsets: dict[str, int] = dict(self._db.execute("SELECT name, offset FROM segments"))

    def take(self, batch: Batch, store: ActivityStore) -> int:
        """Count what is new in a batch and remember how far it reached, or nothing at all. Returns the number of events counted.

        Users and items met for the first time start from their row in the store.
        """
        # On the disk before it is pushed: a pushed row must not be newer than the state it came from, even after a power cut.
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            new = self._not_counted_before(batch.events)
            self._derive("user", _grouped(new, "user_id"), user_after, store.read_users)
            self._derive("item", _grouped(new, "item_id"), item_after, store.read_items)
            self._db.executemany("INSERT OR REPLACE INTO segments VALUES (?, ?)", batch.offsets.items())
            self._db.execute("COMMIT")
        except BaseException:
            self._db.rollback()
            raise
        self.offsets.update(batch.offsets)
        return len(new)

    def unpushed(self, kind: Kind, limit: int) -> dict[str, Activity]:
        """Activities that changed since they were last pushed."""
        rows = self._db.execute(
            "SELECT id, activity FROM unpushed JOIN activity USING (kind, id) WHERE kind = ? LIMIT ?", (kind, limit)
        )
        return {entity: _from_json(text) for entity, text in rows}

    def pushed(self, kind: Kind, ids: Iterable[str]) -> None:
        """Strike off what the store has taken."""
        # Without waiting for the disk: what a power cut brings back is pushed again.
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("DELETE FROM unpushed WHERE kind = ? AND id = ?", [(kind, entity) for entity in ids])
        self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()

    def _start_from(self, base: str) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        if self._db.execute("SELECT name FROM base").fetchall() != [(base,)]:
            for table in ("base", "activity", "unpushed"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - the names stand above
            self._db.execute("INSERT INTO base VALUES (?)", (base,))
        self._db.execute("COMMIT")

    def _not_counted_before(self, events: Sequence[Event]) -> list[Event]:
        today = int(time.time()) // _DAY_S
        if today != self._forgot_on_day:
            self._db.execute("DELETE FROM counted WHERE day < ?", (today - self._remembered_days,))
            self._forgot_on_day = today
        insert = "INSERT OR IGNORE INTO counted VALUES (?, ?)"
        return [event for event in events if is_interaction(event) and self._db.execute(insert, (event.event_id, today)).rowcount]

    def _derive(
        self,
        kind: Kind,
        events_of: Mapping[str, list[Event]],
        after: After,
        read_base: Callable[[Sequence[str]], Mapping[str, ActivityRow]],
    ) -> None:
        known = self._known(kind, events_of)
        unknown = [entity for entity in events_of if entity not in known]
        base = read_base(unknown) if unknown else {}
        known |= {entity: from_row(base.get(entity)) for entity in unknown}
        rows = [(kind, entity, _to_json(after(known[entity], events))) for entity, events in events_of.items()]
        self._db.executemany("INSERT OR REPLACE INTO activity VALUES (?, ?, ?)", rows)
        self._db.executemany("INSERT OR IGNORE INTO unpushed VALUES (?, ?)", [row[:2] for row in rows])

    def _known(self, kind: Kind, ids: Iterable[str]) -> dict[str, Activity]:
        find = "SELECT activity FROM activity WHERE kind = ? AND id = ?"
        found = ((entity, self._db.execute(find, (kind, entity)).fetchone()) for entity in ids)
        return {entity: _from_json(row[0]) for entity, row in found if row is not None}


def _grouped(events: Iterable[Event], field: Literal["user_id", "item_id"]) -> dict[str, list[Event]]:
    groups: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        groups[getattr(event, field)].append(event)
    return groups


def _to_json(activity: Activity) -> str:
    visits = [(visit.time_us, visit.event_id, visit.item_id) for visit in activity.visits]
    counts = (activity.interactions, activity.ratings, activity.rating_millionths, activity.time_us)
    return json.dumps([visits, *counts], separators=(",", ":"))


def _from_json(text: str) -> Activity:
    visits, *counts = json.loads(text)
    return Activity(tuple(Visit(*visit) for visit in visits), *counts)
