"""What the consumer knows, in one SQLite file: how far it read, what it counted, what it derived, what it has yet to push.

One transaction takes a batch in whole. Rows are pushed from what is committed and struck off afterwards, so a crash at any point
makes the consumer push something again, never miss it or count it twice.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from banquet.core.evaluation_users import EVERY_EVALUATION_USER, is_evaluation_user
from banquet.feedback.derive import Activity, Visit, from_row, is_interaction, item_after, user_after
from banquet.feedback.recent_state import RecentState
from banquet.feedback.schema import DERIVED, open_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from banquet.core.declared import Entity
    from banquet.feedback.events import Event
    from banquet.feedback.ports import ActivityRow, ActivityStore, RecentRow
    from banquet.feedback.tail import Batch

    After: TypeAlias = Callable[[Activity, Iterable[Event]], Activity]

log = logging.getLogger(__name__)

_DAY_S = 86_400
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
BOTH: tuple[Entity, ...] = ("user", "item")


def now_us() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1_000


def person(user_id: str) -> str:
    """Stands for someone who must not be named."""
    return hashlib.sha256(user_id.encode()).hexdigest()


class ConsumerState:
    """Raises `sqlite3.Error` when the file is unusable.

    remembered_days: a repeated event id counts again after that long. entities: whose features are derived here.
    clock: the time in microseconds since 1970 UTC.
    """

    def __init__(
        self, path: Path, *, remembered_days: int, entities: tuple[Entity, ...] = BOTH, clock: Callable[[], int] = now_us
    ) -> None:
        self._db = open_state(path)
        self._recent = RecentState(self._db)
        self._remembered_days = remembered_days
        self._entities = entities
        self._clock = clock
        self._forgot_on_day = 0
        self._push_again_after_a_reboot()
        self.offsets: dict[str, int] = dict(self._db.execute("SELECT name, offset FROM segments"))

    def start_from(self, base: str, seed: Callable[[], Sequence[Event]]) -> bool:
        """Start users and items from their rows in the store again if that was filled from another base. True if so.

        `seed` is asked for the events that the base's windows hold; they are counted there alone.
        """
        if self._db.execute("SELECT name FROM base").fetchall() == [(base,)]:
            return False
        events = seed()
        with self._transaction(durable=True):
            for table in DERIVED:
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            self._db.execute("INSERT INTO base VALUES (?)", (base,))
            self._count_recent(_of_real_users(events), frozenset(self._entities))
        return True

    def take(self, batch: Batch, store: ActivityStore) -> int:
        """Count what is new in a batch and remember how far it reached, or nothing at all. Returns the number of events counted.

        Events of users or items that cannot be in the store are set aside, and counted as such. Users and items met for the first
        time start from their row in the store. Events of evaluation users change the users' own activity alone.
        """
        # On the disk before it is pushed: a pushed row must not be newer than the state it came from, even after a power cut.
        with self._transaction(durable=True):
            fitting = [event for event in batch.events if store.keys.fits(event.user_id, event.item_id)]
            new = self._not_counted_before(self._of_the_known(fitting))
            chosen = [event for event in new if is_interaction(event)]
            for kind, events, after, read_base in (
                ("user", chosen, user_after, store.read_users),
                ("item", _of_real_users(chosen), item_after, store.read_items),
            ):
                # What nobody keeps starts from the store's row once somebody does, not from what was seen meanwhile.
                if kind in self._entities and kind in store.kept:
                    self._derive(kind, _grouped(events, kind), after, read_base)
            self._count_recent(_of_real_users(new), store.recent)
            self._meet({event.user_id for event in new if is_evaluation_user(event.user_id)})
            self._db.executemany("INSERT OR REPLACE INTO segments VALUES (?, ?)", batch.offsets.items())
            if (strange := len(batch.events) - len(fitting)) > 0:
                log.error("%d events were set aside: a user or item in them is no id of the repo's", strange)
                add = "INSERT INTO set_aside VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET events = events + excluded.events"
                self._db.execute(add, (strange,))
        self.offsets.update(batch.offsets)
        return len(new)

    def slide(self, limit: int) -> int:
        """Slide the windows of at most `limit` users and items whom time has passed by, and return their number."""
        now = self._clock()
        if self._db.execute("SELECT 1 FROM recent WHERE due_us <= ? LIMIT 1", (now,)).fetchone() is None:
            return 0
        with self._transaction(durable=False):
            return self._recent.slide(now, limit)

    def unpushed(self, kind: Entity, limit: int) -> dict[str, Activity]:
        """Activities that changed since they were last pushed."""
        rows = self._db.execute(
            "SELECT id, activity FROM unpushed JOIN activity USING (kind, id) WHERE kind = ? LIMIT ?", (kind, limit)
        )
        return {entity: _from_json(text) for entity, text in rows}

    def unpushed_recent(self, kind: Entity, limit: int) -> list[RecentRow]:
        """Windowed features that changed since they were last pushed."""
        ids = self._db.execute("SELECT id FROM unpushed WHERE kind = ? LIMIT ?", (f"{kind}_recent", limit)).fetchall()
        return self._recent.rows(kind, [entity for (entity,) in ids])

    def pushed(self, view: str, ids: Sequence[str], rows: Iterable[str] = ()) -> None:
        """Strike off what the store has taken of a view; `rows` are kept for the offline store."""
        kind, _, what = view.partition("_")
        name = view if what == "recent" else kind
        # Without waiting for the disk: what a power cut brings back is pushed again.
        with self._transaction(durable=False):
            self._db.executemany("DELETE FROM unpushed WHERE kind = ? AND id = ?", [(name, entity) for entity in ids])
            if what == "recent":
                self._recent.pushed("user" if kind == "user" else "item", ids)
            self._db.executemany("INSERT INTO offline (view, row) VALUES (?, ?)", ((view, row) for row in rows))

    def evaluation_users(self) -> list[str]:
        """All who did something here since they were forgotten last, and those forgotten then while no other has come."""
        return [user for (user,) in self._db.execute("SELECT id FROM evaluation_ids")]

    def to_forget(self) -> list[str]:
        """Users who were erased here, but not in the online store yet; `EVERY_EVALUATION_USER` among them."""
        return [user for (user,) in self._db.execute("SELECT online FROM erased WHERE online IS NOT NULL")]

    def forgotten(self, user_id: str) -> None:
        """The online store knows a user no more, and neither need we."""
        with self._transaction(durable=True):
            if user_id == EVERY_EVALUATION_USER:
                for table in ("activity", "unpushed"):
                    self._db.execute(f"DELETE FROM {table} WHERE kind = 'user' AND id IN (SELECT id FROM evaluation_ids)")  # noqa: S608
            self._db.execute("UPDATE erased SET online = NULL WHERE person = ?", (person(user_id),))

    def drop_segments(self, names: Iterable[str]) -> None:
        """Forget how far segments were read that are no more."""
        with self._transaction(durable=False):
            self._db.executemany("DELETE FROM segments WHERE name = ?", [(name,) for name in names])
        for name in names:
            self.offsets.pop(name, None)

    def close(self) -> None:
        self._db.close()

    def _push_again_after_a_reboot(self) -> None:
        """A store on this machine may have lost in a power cut what it had not written to the disk yet."""
        boot = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
        known = self._db.execute("SELECT id FROM boot").fetchall()
        if known != [(boot,)]:
            with self._transaction(durable=True):
                self._db.execute("INSERT OR IGNORE INTO unpushed SELECT kind, id FROM activity")
                self._db.execute("INSERT OR IGNORE INTO unpushed SELECT kind || '_recent', id FROM recent")
                self._db.execute("DELETE FROM boot")
                self._db.execute("INSERT INTO boot VALUES (?)", (boot,))

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[None]:
        self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._db.rollback()
            raise

    def _of_the_known(self, events: Sequence[Event]) -> Sequence[Event]:
        """Without what people did before they were erased."""
        if self._db.execute("SELECT 1 FROM erased LIMIT 1").fetchone() is None:
            return events
        find = "SELECT at_us FROM erased WHERE person = ?"
        erased = {user: self._db.execute(find, (person(user),)).fetchone() for user in {event.user_id for event in events}}
        return [event for event in events if (at := erased[event.user_id]) is None or event.time_us > at[0]]

    def _not_counted_before(self, events: Sequence[Event]) -> list[Event]:
        today = self._clock() // 1_000_000 // _DAY_S
        if today != self._forgot_on_day:
            forgettable = today - self._remembered_days
            self._db.execute("DELETE FROM counted WHERE day < ?", (forgettable,))
            self._db.execute("DELETE FROM erased WHERE online IS NULL AND at_us < ?", (forgettable * _DAY_S * 1_000_000,))
            self._forgot_on_day = today
        insert = "INSERT OR IGNORE INTO counted VALUES (?, ?)"
        return [event for event in events if self._db.execute(insert, (event.event_id, today)).rowcount]

    def _count_recent(self, events: Sequence[Event], known: frozenset[Entity]) -> None:
        now = self._clock()
        for kind in self._entities:
            if kind in known:
                self._recent.count(kind, _grouped(events, kind), now)

    def _meet(self, evaluation_users: set[str]) -> None:
        """Keep whom to forget, whatever becomes of their activity; those of an evaluation that is over and forgotten go."""
        if evaluation_users:
            over = "SELECT at_us FROM erased WHERE person = ? AND online IS NULL"
            self._db.execute(f"DELETE FROM evaluation_ids WHERE met_us < ({over})", (person(EVERY_EVALUATION_USER),))  # noqa: S608
            rows = [(user, self._clock()) for user in evaluation_users]
            self._db.executemany("INSERT OR REPLACE INTO evaluation_ids VALUES (?, ?)", rows)

    def _derive(
        self,
        kind: Entity,
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

    def _known(self, kind: Entity, ids: Iterable[str]) -> dict[str, Activity]:
        find = "SELECT activity FROM activity WHERE kind = ? AND id = ?"
        found = ((entity, self._db.execute(find, (kind, entity)).fetchone()) for entity in ids)
        return {entity: _from_json(row[0]) for entity, row in found if row is not None}


def _of_real_users(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if not is_evaluation_user(event.user_id)]


def _grouped(events: Iterable[Event], kind: Literal["user", "item"]) -> dict[str, list[Event]]:
    groups: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        groups[event.user_id if kind == "user" else event.item_id].append(event)
    return groups


def _to_json(activity: Activity) -> str:
    visits = [(visit.time_us, visit.event_id, visit.item_id) for visit in activity.visits]
    counts = (activity.interactions, activity.ratings, activity.rating_millionths, activity.time_us)
    return json.dumps([visits, *counts], separators=(",", ":"))


def _from_json(text: str) -> Activity:
    visits, *counts = json.loads(text)
    return Activity(tuple(Visit(*visit) for visit in visits), *counts)
