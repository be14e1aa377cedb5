"""Turns events into features and pushes them to the online store: at least once, with effects that count once."""

from __future__ import annotations

import fcntl
import logging
import sqlite3
import time
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from banquet.core.evaluation_users import EVERY_EVALUATION_USER
from banquet.feedback.offline import OfflineThread
from banquet.feedback.ports import StoreUnavailable
from banquet.feedback.pushing import Pace, Pusher
from banquet.feedback.retention import Retention
from banquet.feedback.state import ConsumerState
from banquet.feedback.tail import Tail

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from banquet.feedback.events import Event
    from banquet.feedback.ports import ActivityStore, OfflineStore


log = logging.getLogger(__name__)

_FIRST_RETRY_S = 0.05
_LONGEST_RETRY_S = 5.0
_LOCK_POLL_S = 0.2
# While no events come, the state is asked this often for windows that time has passed, items that are due and people to forget.
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a consumer works amid.

    `base` names what the store was filled from, such as a dataset, and keeps it from being filled anew meanwhile; None while it
    is being filled. With another base, features start from the store's rows again, and windows from the events of `seed`.
    `item_changed` is told which items were pushed. `offline` takes every pushed row a second time.
    """

    base: Callable[[], AbstractContextManager[str | None]] = lambda: nullcontext("")
    seed: Callable[[], Sequence[Event]] = tuple
    item_changed: Callable[[Sequence[str]], None] = lambda _: None
    offline: OfflineStore | None = None


def run_consumer(
    log_folder: Path,
    state_path: Path,
    store: ActivityStore,
    stop: threading.Event,
    pace: Pace | None = None,
    surroundings: Surroundings | None = None,
) -> None:
    """Follow the log until `stop` is set; what is not pushed by then is pushed by the next run.

    One consumer works on a state file at a time; a second one waits for the first to end.
    """
    pace, surroundings = pace or Pace(), surroundings or Surroundings()
    log_folder.mkdir(parents=True, exist_ok=True)
    state_path.parent.mkdir(parents=True, exist_ok=True)
    with alone(state_path, stop) as turn:
        if turn:
            with (
                closing(ConsumerState(state_path, remembered_days=pace.remembered_days)) as state,
                closing(OfflineThread(state_path, surroundings.offline, pace.offline_every_s)) as offline,
            ):
                consumer = _Consumer(log_folder, state_path, state, store, pace, surroundings, offline)
                keep_trying(consumer.step, stop, pace.poll_s)


class _Consumer:
    def __init__(
        self,
        log_folder: Path,
        state_path: Path,
        state: ConsumerState,
        store: ActivityStore,
        pace: Pace,
        surroundings: Surroundings,
        offline: OfflineThread,
    ) -> None:
        self._tail = Tail(log_folder)
        self._state = state
        self._store = store
        self._surroundings = surroundings
        self._offline = offline
        self._batch_events = pace.batch_events
        self._look_again_s = 0.0
        self._retention = Retention(log_folder, state_path.stem, pace.remembered_days)
        keep = surroundings.offline is not None
        self._pusher = Pusher(state, store, pace, surroundings.item_changed, keep=keep)

    def step(self) -> bool:
        """Take in what is new and push what changed. True when there may be more to do at once."""
        batch = self._tail.read(self._state.offsets, self._batch_events)
        if not batch.offsets and time.monotonic() < self._look_again_s:
            return False
        with self._surroundings.base() as base:
            if base is None:
                return False
            if self._state.start_from(base, self._surroundings.seed):
                log.info("features start from the store's rows: %s", base or "nothing was prepared")
                self._offline.start_over()
            if batch.damaged:
                log.error("%d damaged records were left out of %s", batch.damaged, ", ".join(batch.offsets))
            if batch.offsets:
                self._state.take(batch, self._store)
            forget_erased(self._state, self._store, self._offline)
            more = self._pusher.push()
        if dropped := self._retention.sweep(self._state.offsets):
            self._state.drop_segments(dropped)
        busy = bool(batch.offsets) or more
        self._look_again_s = 0.0 if busy else time.monotonic() + _LOOK_S
        return busy


def forget_erased(state: ConsumerState, store: ActivityStore, offline: OfflineThread) -> None:
    """Remove from the stores whom `erase_user` removed from the log and the state.

    Evaluation users go all at once; they were never in the offline store.
    """
    for user_id in state.to_forget():
        if user_id == EVERY_EVALUATION_USER:
            users = state.evaluation_users()
            store.forget_users(users)
        else:
            users = [user_id]
            store.forget_users(users)
            offline.forget_user(user_id)
        state.forgotten(user_id)
        log.info("users erased: %d", len(users))


def keep_trying(step: Callable[[], bool], stop: threading.Event, poll_s: float) -> None:
    """Take steps until `stop` is set; pause when there is nothing to do, and longer and longer while something is down."""
    retry_s = _FIRST_RETRY_S
    while not stop.is_set():
        try:
            busy = step()
        except (StoreUnavailable, sqlite3.OperationalError, OSError) as error:
            log.warning("events wait, next try in %.2f s: %s", retry_s, error)
            stop.wait(retry_s)
            retry_s = min(2 * retry_s, _LONGEST_RETRY_S)
            continue
        retry_s = _FIRST_RETRY_S
        if not busy:
            stop.wait(poll_s)


@contextmanager
def alone(state_path: Path, stop: threading.Event) -> Iterator[bool]:
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
