"""Evaluation users have a history of their own, and leave nothing behind them anywhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from banquet.core.evaluation_users import evaluation_user, is_evaluation_user
from banquet.feedback.consumer import Surroundings, run_consumer
from banquet.feedback.ports import KeptRow
from banquet.feedback.pushing import Pace
from banquet.feedback.state import ConsumerState, now_us
from banquet.feedback.tail import Batch
from tests.unit.feedback.fakes import MemoryActivity, features_of, make_event, recomputed, write_segment
from tests.unit.feedback.test_consumer import WhenDone

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
