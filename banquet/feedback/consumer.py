"""Turns events into features and pushes them to the online store: at least once, with effects that count once."""

from __future__ import annotations

import fcntl
import logging
import sqlite3
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from banquet.feedback.derive import to_row
from banquet.feedback.ports import StoreUnavailable
from banquet.feedback.state import ConsumerState
from banquet.feedback.tail import Tail

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from banquet.feedback.ports import ActivityRow, ActivityStore
    from banquet.feedback.state import Kind

log = logging.getLogger(__name__)

_FIRST_RETRY_S = 0.05
_LONGEST_RETRY_S = 5.0
_LOCK_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Pace:
    """How the consumer works. `poll_s`: pause when nothing is new. `batch_events`: about how many are taken in at once.

    `user_rows`, `item_rows`: most rows per push; users wait while items are pushed, so these go in smaller pieces.
    `items_every_s`: shortest time between pushes of all changed items; each makes a new catalogue, so changes are joined.
    `remembered_days`: how long a repeated event id is known.
    """

    poll_s: float = 0.01
    batch_events: int = 2_000
    user_rows: int = 500
    item_rows: int = 100
    items_every_s: float = 1.0
    remembered_days: int = 30


def run_consumer(
    log_folder: Path,
    state_path: Path,
    store: ActivityStore,
    stop: threading.Event,
    pace: Pace | None = None,
    *,
    base: str = "",
) -> None:
    """Follow the log until `stop` is set; what is not pushed by then is pushed by the next run.

    One consumer works on a state file at a time; a second one waits for the first to end. `base` names what the store was
    filled from, such as a dataset: with another one, features start from the store's rows again.
    """
    pace = pace or Pace()
    log_folder.mkdir(parents=True, exist_ok=True)
    state_path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(state_path, stop) as turn:
        if turn:
            with closing(ConsumerState(state_path, base=base, remembered_days=pace.remembered_days)) as state:
                _Consumer(Tail(log_folder), state, store, stop, pace).run()


class _Consumer:
    def __init__(self, tail: Tail, state: ConsumerState, store: ActivityStore, stop: threading.Event, pace: Pace) -> None:
        self._tail = tail
        self._state = state
        self._store = store
        self._stop = stop
        self._pace = pace
        self._items_due_s = 0.0

    def run(self) -> None:
        retry_s = _FIRST_RETRY_S
        while not self._stop.is_set():
            try:
                busy = self._step()
            except (StoreUnavailable, sqlite3.OperationalError, OSError) as error:
                log.warning("events wait, next try in %.2f s: %s", retry_s, error)
                self._stop.wait(retry_s)
                retry_s = min(2 * retry_s, _LONGEST_RETRY_S)
                continue
            retry_s = _FIRST_RETRY_S
            if not busy:
                self._stop.wait(self._pace.poll_s)

    def _step(self) -> bool:
        """Take in what is new and push what changed. True when there may be more to do at once."""
        batch = self._tail.read(self._state.offsets, self._pace.batch_events)
        if batch.damaged:
            log.error("%d damaged records were left out of %s", batch.damaged, ", ".join(batch.offsets))
        if batch.offsets:
            self._state.take(batch, self._store)
        while self._push("user", self._store.push_users, self._pace.user_rows) == self._pace.user_rows:
            pass
        more_items = self._push_items()
        return bool(batch.offsets) or more_items

    def _push_items(self) -> bool:
        """Push some of the changed items, if it is time to. True when there may be more."""
        if time.monotonic() < self._items_due_s:
            return False
        pushed = self._push("item", self._store.push_items, self._pace.item_rows)
        if 0 < pushed < self._pace.item_rows:
            self._items_due_s = time.monotonic() + self._pace.items_every_s
        return pushed == self._pace.item_rows

    def _push(self, kind: Kind, push: Callable[[Sequence[ActivityRow]], None], limit: int) -> int:
        """Push what changed, at most `limit` rows, and return their number."""
        changed = self._state.unpushed(kind, limit)
        if changed:
            push([to_row(entity, activity) for entity, activity in changed.items()])
            self._state.pushed(kind, changed)
        return len(changed)


@contextmanager
def _alone(state_path: Path, stop: threading.Event) -> Iterator[bool]:
    """Wait until no other process consumes into this state; False when stopped before that."""
    with state_path.with_name(f"{state_path.name}.lock").open("w") as lock:
        told = False
        while not stop.is_set():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    log.warning("another consumer works on %s; waiting for it to end", state_path)
                    told = True
                stop.wait(_LOCK_POLL_S)
            else:
                yield True
                return
        yield False
