"""Brings what changed from the consumer's state to the online store, users before items, and keeps it for the offline store."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from banquet.core.evaluation_users import is_evaluation_user
from banquet.feedback.derive import row_values, to_row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from banquet.core.declared import Entity
    from banquet.feedback.ports import ActivityStore
    from banquet.feedback.state import ConsumerState


@dataclass(frozen=True, slots=True)
class Pace:
    """How the consumer works. `poll_s`: pause when nothing is new. `batch_events`: about how many are taken in at once.

    `user_rows`, `item_rows`: most rows per push; users wait while items are pushed, so these go in smaller pieces.
    `items_every_s`: shortest time between pushes of all changed items; each makes a new catalogue, so changes are joined.
    `slid_rows`: how many windows that only time has changed are slid at once. `remembered_days`: how long a repeated event id
    is known and events are kept. `offline_every_s`: pause between writes to the offline store.
    """

    poll_s: float = 0.01
    batch_events: int = 2_000
    user_rows: int = 500
    item_rows: int = 25
    items_every_s: float = 1.0
    slid_rows: int = 25
    remembered_days: int = 30
    offline_every_s: float = 30.0


class Pusher:
    """Pushes to `store`. Raises `StoreUnavailable` while the store is down.

    `item_changed` is told after each push, with the ids of pushed items (none for one of users).
    keep: whether pushed rows are kept for the offline store, but for those of evaluation users.
    """

    def __init__(
        self,
        state: ConsumerState,
        store: ActivityStore,
        pace: Pace,
        item_changed: Callable[[Sequence[str]], None] = lambda _: None,
        *,
        keep: bool = False,
    ) -> None:
        self._state = state
        self._store = store
        self._pace = pace
        self._item_changed = item_changed
        self._keep = keep
        self._items_due_s = 0.0

    def push(self) -> bool:
        """Push what users did, then what it is time for. True when there may be more to do at once."""
        self._all_of("user", self._pace.user_rows)
        slid = self._state.slide(self._pace.slid_rows)
        if slid:
            self._all_of("user", self._pace.user_rows)
        return self._push_items() or slid == self._pace.slid_rows

    def _all_of(self, kind: Entity, limit: int) -> None:
        while self._push(kind, limit) == limit:
            pass

    def _push_items(self) -> bool:
        """Push some of the changed items, if it is time to. True when there may be more."""
        if time.monotonic() < self._items_due_s:
            return False
        limit = self._pace.item_rows
        pushed = self._push("item", limit)
        if 0 < pushed < limit:
            self._items_due_s = time.monotonic() + self._pace.items_every_s
        return pushed == limit

    def _push(self, kind: Entity, limit: int) -> int:
        """Push what changed of both views, at most `limit` rows each, and return how many the fuller one had."""
        changed = self._state.unpushed(kind, limit)
        if changed:
            rows = [to_row(entity, activity) for entity, activity in changed.items()]
            (self._store.push_users if kind == "user" else self._store.push_items)(rows)
            self._pushed(kind, "activity", [(row.entity_id, row.event_time_us, row_values(kind, row)) for row in rows])
        recent = self._state.unpushed_recent(kind, limit)
        if recent:
            self._store.push_recent(kind, recent)
            self._pushed(kind, "recent", [(row.entity_id, row.event_time_us, row.values) for row in recent])
        return max(len(changed), len(recent))

    def _pushed(self, kind: Entity, what: str, rows: Sequence[tuple[str, int, Mapping[str, object]]]) -> None:
        # Of users, too: each push is a commit, and one that nobody tells of has to be looked for.
        self._item_changed([row[0] for row in rows] if kind == "item" else [])
        kept = [row for row in rows if not (kind == "user" and is_evaluation_user(row[0]))] if self._keep else []
        texts = (json.dumps(row, separators=(",", ":")) for row in kept)
        self._state.pushed(f"{kind}_{what}", [row[0] for row in rows], texts)
