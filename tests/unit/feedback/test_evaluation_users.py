"""Evaluation users have a history of their own, and leave nothing behind them anywhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from banquet.core.evaluation_users import EVERY_EVALUATION_USER, evaluation_user, is_evaluation_user
from banquet.feedback.consumer import Surroundings, forget_erased, run_consumer
from banquet.feedback.erase import (
    count_evaluation_users,
    count_user,
    erase_evaluation_users,
    is_erased_online,
    known_evaluation_users,
)
from banquet.feedback.events import decode
from banquet.feedback.offline import OfflineThread
from banquet.feedback.ports import KeptRow, StoreUnavailable
from banquet.feedback.pushing import Pace, Pusher
from banquet.feedback.segments import is_sealed
from banquet.feedback.state import ConsumerState, now_us
from banquet.feedback.tail import Batch, Tail
from tests.unit.feedback.fakes import MemoryActivity, features_of, make_event, recomputed, write_segment
from tests.unit.feedback.test_consumer import WhenDone
from tests.unit.feedback.test_erase import OneStep

GUEST = evaluation_user(12)


@dataclass
class Kept:
    """An `OfflineStore` in memory."""

    rows: dict[str, list[str]] = field(default_factory=dict)

    def append(self, view: str, rows: list[KeptRow], name: str) -> None:
        self.rows.setdefault(view, []).extend(row.entity_id for row in rows)

    def start_over(self) -> None:
        self.rows.clear()

    def forget_user(self, user_id: str) -> None:
        raise AssertionError(f"nobody is kept of evaluation users, {user_id} neither")


def visits(user: str, count: int, kind: str = "click") -> list:
    """Events of the last minutes with the items `i0`, `i1`, ..."""
    begun_us = now_us() - 600_000_000
    return [
        make_event(n, user=user, item=f"i{n}", kind=kind, event_id=f"{user}-{kind}-{n}", time_us=begun_us + n)
        for n in range(count)
    ]


def test_only_their_own_activity_is_kept_up(tmp_path: Path) -> None:
    """Online; no item counts them, no window has them, and the offline store has none of their rows."""
    store, kept = MemoryActivity(), Kept()
    (tmp_path / "log").mkdir()
    theirs, others = visits(GUEST, 5) + visits(GUEST, 3, "impression"), visits("anna", 2)
    write_segment(tmp_path / "log/events-a-000001.log", [*theirs, *others])
    run_consumer(
        tmp_path / "log",
        tmp_path / "state.db",
        store,
        WhenDone(tmp_path / "log", tmp_path / "state.db"),
        Pace(poll_s=0.001, items_every_s=0.0),
        Surroundings(offline=kept),
    )
    assert features_of(store.users) == recomputed([*theirs, *others], "user_id")
    assert store.users[GUEST].history == ("i4", "i3", "i2", "i1", "i0")
    assert features_of(store.items) == recomputed(others, "item_id")
    assert set(store.user_recent) == {"anna"}
    assert set(store.item_recent) == {"i0", "i1"}
    assert {view: set(ids) for view, ids in kept.rows.items()} == {
        "user_activity": {"anna"},
        "user_recent": {"anna"},
        "item_activity": {"i0", "i1"},
        "item_recent": {"i0", "i1"},
    }


def test_an_item_may_have_such_an_id(tmp_path: Path) -> None:
    """Only users are marked by it."""
    store, kept = MemoryActivity(), Kept()
    (tmp_path / "log").mkdir()
    write_segment(tmp_path / "log/events-a-000001.log", [make_event(1, user="anna", item=GUEST, time_us=now_us())])
    stop = WhenDone(tmp_path / "log", tmp_path / "state.db")
    run_consumer(tmp_path / "log", tmp_path / "state.db", store, stop, Pace(poll_s=0.001), Surroundings(offline=kept))
    assert set(store.items) == set(store.item_recent) == {GUEST}
    assert kept.rows["item_activity"] == [GUEST]


def test_a_dataset_with_such_users_seeds_no_windows(tmp_path: Path) -> None:
    """An earlier export may have brought them there."""
    state = ConsumerState(tmp_path / "state.db", remembered_days=30)
    state.start_from("base", lambda: visits(GUEST, 2))
    assert state.unpushed_recent("user", 9) == []
    assert state.unpushed_recent("item", 9) == []
    state.close()


def test_a_known_event_of_theirs_counts_once(tmp_path: Path) -> None:
    """As anybody's."""
    state, store = ConsumerState(tmp_path / "state.db", remembered_days=30), MemoryActivity()
    assert [state.take(Batch(visits(GUEST, 2), {}, 0), store) for _ in range(2)] == [2, 0]
    assert {user: row.interactions for user, row in state.unpushed("user", 9).items()} == {GUEST: 2}
    assert is_evaluation_user(GUEST)
    state.close()


def consume(folder: Path, store: MemoryActivity) -> None:
    run_consumer(folder / "log", folder / "state.db", store, OneStep(), Pace(items_every_s=0.0))


def test_all_of_them_are_forgotten_at_once(tmp_path: Path) -> None:
    """From log, state and online store; real users keep what they have, and the ids of events are free again."""
    log, state, store = tmp_path / "log", tmp_path / "state.db", MemoryActivity()
    log.mkdir()
    guests = [evaluation_user(number) for number in range(30)]
    events = [event for guest in guests for event in visits(guest, 4)] + visits("anna", 3)
    write_segment(log / "events-sealed-000001.log", events[:60])
    (log / "events-sealed-000001.log").chmod(0o444)
    write_segment(log / "events-live-000001.log", events[60:])
    consume(tmp_path, store)
    assert set(store.users) == {*guests, "anna"}
    assert count_evaluation_users(log, state) == 120 + 30

    assert erase_evaluation_users(log, state) == 120
    assert not is_erased_online(state, EVERY_EVALUATION_USER)
    consume(tmp_path, store)
    assert is_erased_online(state, EVERY_EVALUATION_USER)
    assert features_of(store.users) == recomputed(visits("anna", 3), "user_id")
    assert count_evaluation_users(log, state) == 0
    assert sorted(known_evaluation_users(state)) == sorted(guests)
    assert is_sealed((log / "events-sealed-000001.log").stat())
    kept = [decode(file.read_bytes()) for file in log.glob("*.log")]
    assert [event.user_id for records in kept for event in records.events] == ["anna"] * 3
    assert sum(records.damaged for records in kept) == 0
    assert count_user(log, state, "anna") > 0

    # The next evaluation, with the same users and events, starts from nothing.
    write_segment(log / "events-live-000001.log", visits(guests[0], 2))
    consume(tmp_path, store)
    assert store.users[guests[0]].interaction_count == 2
    assert known_evaluation_users(state) == [guests[0]]


def test_what_the_consumer_had_read_is_gone_too(tmp_path: Path) -> None:
    """It takes the batch in after the log was cleared, and removes the users in the same step."""
    log, path, store = tmp_path / "log", tmp_path / "state.db", MemoryActivity()
    log.mkdir()
    state, offline = ConsumerState(path, remembered_days=30), OfflineThread(path, None, 1.0)
    write_segment(log / "events-a-000001.log", visits(GUEST, 3))
    batch = Tail(log).read({}, 100)
    assert erase_evaluation_users(log, path) == 3
    state.take(batch, store)
    forget_erased(state, store, offline)
    assert Pusher(state, store, Pace()).push() is False
    assert store.users == {}
    assert count_evaluation_users(log, path) == 0
    state.close()


def test_a_store_that_is_down_delays_it(tmp_path: Path) -> None:
    """Until then it is not said to be done."""
    log, path, store = tmp_path / "log", tmp_path / "state.db", MemoryActivity()
    log.mkdir()
    write_segment(log / "events-a-000001.log", visits(GUEST, 3))
    consume(tmp_path, store)
    erase_evaluation_users(log, path)
    store.failures = 1
    state, offline = ConsumerState(path, remembered_days=30), OfflineThread(path, None, 1.0)
    with pytest.raises(StoreUnavailable):
        forget_erased(state, store, offline)
    assert not is_erased_online(path, EVERY_EVALUATION_USER)
    forget_erased(state, store, offline)
    assert is_erased_online(path, EVERY_EVALUATION_USER)
    assert store.users == {}
    state.close()


def test_forgetting_them_before_there_were_any_is_nothing(tmp_path: Path) -> None:
    """As after a command that recorded nothing."""
    assert erase_evaluation_users(tmp_path / "log", tmp_path / "state" / "state.db") == 0
    assert count_evaluation_users(tmp_path / "log", tmp_path / "state" / "state.db") == 0


def test_users_of_an_evaluation_that_broke_off_are_forgotten_with_the_next(tmp_path: Path) -> None:
    """Nobody asked to forget them yet."""
    state = ConsumerState(tmp_path / "state.db", remembered_days=30)
    for number in (1, 2):
        state.take(Batch(visits(evaluation_user(number), 1), {}, 0), MemoryActivity())
    assert set(state.evaluation_users()) == {evaluation_user(1), evaluation_user(2)}
    state.close()
