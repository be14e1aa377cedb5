"""The consumer brings every event's effect to the store once, whatever fails on the way."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from banquet.core.ids import KeyTypes
from banquet.feedback.consumer import Surroundings, run_consumer
from banquet.feedback.events import Event
from banquet.feedback.lag import consumer_lag, events_set_aside
from banquet.feedback.ports import ActivityRow, StoreUnavailable
from banquet.feedback.pushing import Pace
from tests.unit.feedback.fakes import START_US, MemoryActivity, features_of, make_event, random_events, recomputed, write_segment

FAST = Pace(poll_s=0.001, items_every_s=0.0)
SMALL = Pace(poll_s=0.001, items_every_s=0.0, user_rows=2, item_rows=2)


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    return tmp_path / "log" / "events-a-000001.log"


class Crash(BaseException):
    """The process ends here."""


class Crashing:
    """A store whose process crashes at its n-th step; every call has a step before and a step after its effect."""

    def __init__(self, store: MemoryActivity, steps: int) -> None:
        self._store = store
        self._steps = steps
        self.kept, self.recent, self.keys = store.kept, store.recent, store.keys

    def __getattr__(self, name: str) -> Callable[[object], object]:
        def call(argument: object) -> object:
            self._step()
            result = getattr(self._store, name)(argument)
            self._step()
            return result

        return call

    def _step(self) -> None:
        self._steps -= 1
        if self._steps == 0:
            raise Crash


class WhenDone:
    """Stops a consumer that has nothing left to do."""

    def __init__(self, log_folder: Path, state: Path) -> None:
        self._places = log_folder, state

    def is_set(self) -> bool:
        return self._places[1].exists() and consumer_lag(*self._places).none

    def wait(self, timeout_s: float) -> bool:
        return self.is_set()


class SoonStopped:
    """Lets a consumer take a few steps."""

    def __init__(self) -> None:
        self._steps = 5

    def is_set(self) -> bool:
        self._steps -= 1
        return self._steps < 0

    def wait(self, timeout_s: float) -> bool:
        return False


def wait_until(done: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline_s, "waited too long"
        time.sleep(0.002)


@contextmanager
def consuming(segment: Path, store: MemoryActivity, pace: Pace = FAST) -> Iterator[Callable[[], None]]:
    """A consumer in a thread; yields a wait until nothing is left to do."""
    stop, state = threading.Event(), segment.parent.parent / "state.db"
    thread = threading.Thread(target=run_consumer, args=(segment.parent, state, store, stop, pace))
    thread.start()

    def caught_up() -> None:
        deadline_s = time.monotonic() + 10
        while not (state.exists() and consumer_lag(segment.parent, state).none):
            assert time.monotonic() < deadline_s, "the consumer does not catch up"
            time.sleep(0.002)

    try:
        yield caught_up
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()


def test_duplicates_and_disorder_change_nothing(segment: Path) -> None:
    """Features equal the recomputation although events come twice, in several runs and out of order."""
    events = random_events(300, seed=1)
    store = MemoryActivity()
    for part in (events[200:] + events[:100], events[50:] + events[:3]):
        write_segment(segment, part)
        with consuming(segment, store) as caught_up:
            caught_up()
    assert features_of(store.users) == recomputed(events, "user_id")
    assert features_of(store.items) == recomputed(events, "item_id")


def test_a_store_that_fails_delays_and_loses_nothing(segment: Path) -> None:
    """Reads and pushes are tried again until they succeed."""
    events = random_events(50, seed=2)
    store = MemoryActivity(failures=4)
    write_segment(segment, events)
    with consuming(segment, store) as caught_up:
        caught_up()
    assert store.failures == 0
    assert features_of(store.users) == recomputed(events, "user_id")


def test_what_was_not_pushed_is_pushed_by_the_next_run(segment: Path) -> None:
    """A consumer that ends while the store is down leaves the work to its successor, base rows included."""
    base = ActivityRow("u1", 7, 0, None, START_US, ("old",))
    write_segment(segment, [make_event(1)])
    store = MemoryActivity({"u1": base})
    store.push_users = _down  # type: ignore[method-assign]
    with consuming(segment, store):
        while consumer_lag(segment.parent, segment.parent.parent / "state.db").unpushed_users == 0:
            time.sleep(0.002)
    successor = MemoryActivity({"u1": base})
    with consuming(segment, successor) as caught_up:
        caught_up()
    assert successor.users["u1"].history == ("i1", "old")
    assert successor.users["u1"].interaction_count == 8


@pytest.mark.parametrize("crash_at", range(1, 40))
def test_a_crash_at_any_step_counts_everything_once(segment: Path, crash_at: int) -> None:
    """Before or after any read or push of the store or write of the state, twice in a row; base rows are not counted twice."""
    events = random_events(40, seed=3, users=5)
    base = {f"u{n}": ActivityRow(f"u{n}", 100, 0, None, START_US - 1_000_000, ()) for n in range(5)}
    store = MemoryActivity(dict(base))
    state = segment.parent.parent / "state.db"
    for part in (events[:15], events[15:]):
        write_segment(segment, part)
        with contextlib.suppress(Crash):
            run_consumer(segment.parent, state, Crashing(store, crash_at), WhenDone(segment.parent, state), SMALL)
    run_consumer(segment.parent, state, store, WhenDone(segment.parent, state), SMALL)
    expected = recomputed(events, "user_id")
    assert {user: row.interaction_count - 100 for user, row in store.users.items()} == {
        user: found[1] for user, found in expected.items()
    }
    assert {user: row.history for user, row in store.users.items()} == {user: found[0] for user, found in expected.items()}
    assert features_of(store.items) == recomputed(events, "item_id")


def based_on(name: str | None, *seed: Event) -> Surroundings:
    """A store that was filled from what this name says."""
    return Surroundings(base=lambda: contextlib.nullcontext(name), seed=lambda: seed)


def test_another_base_starts_from_the_store_again(segment: Path) -> None:
    """What was derived on top of one dataset is not pushed on top of another; the events stay counted."""
    state, store = segment.parent.parent / "state.db", MemoryActivity()
    write_segment(segment, [make_event(1)])
    run_consumer(segment.parent, state, store, WhenDone(segment.parent, state), FAST, based_on("first"))
    other = MemoryActivity({"u1": ActivityRow("u1", 5, 0, None, START_US, ("z",))})
    write_segment(segment, [make_event(1), make_event(2)])
    run_consumer(segment.parent, state, other, WhenDone(segment.parent, state), FAST, based_on("second"))
    assert (store.users["u1"].history, other.users["u1"].history) == (("i1",), ("i2", "z"))
    assert other.users["u1"].interaction_count == 6


def test_another_base_is_noticed_at_work(segment: Path) -> None:
    """And while the store is being filled, nothing is pushed."""
    store, stop, base = MemoryActivity(), threading.Event(), ["first"]
    around = Surroundings(base=lambda: contextlib.nullcontext(base[0]))
    arguments = (segment.parent, segment.parent.parent / "state.db", store, stop, FAST, around)
    thread = threading.Thread(target=run_consumer, args=arguments)
    thread.start()
    write_segment(segment, [make_event(1)])
    wait_until(lambda: "u1" in store.users)
    base[0] = None
    time.sleep(0.05)
    write_segment(segment, [make_event(2)])
    store.users = {"u1": ActivityRow("u1", 5, 0, None, START_US, ("z",))}
    time.sleep(0.05)
    assert store.users["u1"].history == ("z",)
    base[0] = "second"
    wait_until(lambda: store.users["u1"].history == ("i2", "z"))
    stop.set()
    thread.join()


def test_windows_start_from_the_events_of_the_base(segment: Path) -> None:
    """They are counted in the windows alone, and only where they still count."""
    now_us = time.time_ns() // 1000
    seed = [
        make_event(1, event_id="", time_us=now_us - hours * 3_600_000_000, kind=kind)
        for hours, kind in ((1, "click"), (200, "click"), (30, "impression"))
    ]
    state, store = segment.parent.parent / "state.db", MemoryActivity()
    run_consumer(segment.parent, state, store, SoonStopped(), FAST, based_on("first", *seed))
    row = store.user_recent["u1"].values
    assert (row["clicks_24h"], row["clicks_7d"], row["impressions_24h"], row["impressions_7d"]) == (1, 1, 0, 1)
    assert not store.users


def test_an_impression_is_no_activity(segment: Path) -> None:
    """It counts in the windows alone."""
    write_segment(segment, [make_event(1, kind="impression", time_us=time.time_ns() // 1000)])
    store = MemoryActivity()
    with consuming(segment, store) as caught_up:
        caught_up()
    assert not store.users
    assert not store.items
    assert (store.user_recent["u1"].values["impressions_1h"], store.item_recent["i1"].values["impressions_1h"]) == (1, 1)


def test_a_store_without_windowed_views_gets_none(segment: Path) -> None:
    """A Feast user's own repository need not have them."""
    write_segment(segment, [make_event(1, time_us=time.time_ns() // 1000)])
    store = MemoryActivity(recent=frozenset())
    with consuming(segment, store) as caught_up:
        caught_up()
    assert store.pushes.keys() == {"users", "items"}


def test_what_a_store_comes_to_keep_later_starts_from_its_own_rows(segment: Path) -> None:
    """A history that was put in with the view is not lost to whoever did something before."""
    write_segment(segment, [make_event(1, item="before")])
    with consuming(segment, MemoryActivity(kept=frozenset(), recent=frozenset())) as caught_up:
        caught_up()
    begun = ActivityRow("u1", 2, 0, None, 5, ("b", "a"))
    store = MemoryActivity(users={"u1": begun})
    write_segment(segment, [make_event(2, item="after")])
    with consuming(segment, store) as caught_up:
        caught_up()
    assert (store.users["u1"].history, store.users["u1"].interaction_count) == (("after", "b", "a"), 3)
    assert store.items.keys() == {"after"}


def test_whoever_listens_is_told_which_items_were_pushed(segment: Path) -> None:
    """After the store has them."""
    write_segment(segment, [make_event(1, item="a"), make_event(2, item="b")])
    store, told = MemoryActivity(), []
    state = segment.parent.parent / "state.db"
    around = Surroundings(item_changed=lambda ids: told.extend((item, item in store.items) for item in ids))
    run_consumer(segment.parent, state, store, WhenDone(segment.parent, state), FAST, around)
    assert set(told) == {("a", True), ("b", True)}


def test_items_are_pushed_together(segment: Path) -> None:
    """Users at once, items at the pace the catalogue can follow."""
    store = MemoryActivity()
    with consuming(segment, store, Pace(poll_s=0.001, items_every_s=0.2)) as caught_up:
        for number in range(5):
            write_segment(segment, [make_event(number)])
            while store.users.get("u1", ActivityRow("", 0, 0, None, 0)).interaction_count <= number:
                time.sleep(0.001)
        caught_up()
    assert store.pushes["users"] == 5
    assert store.pushes["items"] < 5
    assert len(store.items) == 5


def test_one_consumer_at_a_time(segment: Path) -> None:
    """A second one waits, and takes over when the first ends."""
    first, second = MemoryActivity(), MemoryActivity()
    with consuming(segment, first) as caught_up:
        caught_up()
        with consuming(segment, second):
            write_segment(segment, [make_event(1)])
            caught_up()
    assert (first.pushes["users"], second.pushes["users"]) == (1, 0)


def _down(rows: object) -> None:
    raise StoreUnavailable("down")


def test_events_of_ids_that_are_no_keys_are_set_aside(segment: Path) -> None:
    """One by one and counted: of users and of items; all others count."""
    ids = [("7", "1"), ("007", "1"), ("7", "i2"), ("abc", "1"), ("99999999999999999999", "1"), ("7", "2")]
    write_segment(segment, [make_event(number, user=user, item=item) for number, (user, item) in enumerate(ids)])
    store = MemoryActivity(keys=KeyTypes("INT64", "INT64"))
    with consuming(segment, store) as caught_up:
        caught_up()
    assert (set(store.users), set(store.items)) == ({"7"}, {"1", "2"})
    assert store.users["7"].history == ("2", "1")
    state = segment.parent.parent / "state.db"
    assert events_set_aside([state, segment.parent / "none.db"]) == 4
    write_segment(segment, [make_event(9, user="x", item="1")])
    with consuming(segment, store) as caught_up:
        caught_up()
    assert events_set_aside([state]) == 5
