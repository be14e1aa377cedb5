"""A person who is erased is in no file of the log and the state, and does not come back."""

from pathlib import Path

import pytest

from banquet.feedback.consumer import run_consumer
from banquet.feedback.erase import count_user, erase_user, is_erased_online
from banquet.feedback.events import decode
from banquet.feedback.lag import consumer_lag
from banquet.feedback.pushing import Pace
from banquet.feedback.segments import is_sealed
from banquet.feedback.state import ConsumerState, now_us
from banquet.feedback.tail import Batch, Tail
from tests.unit.feedback.fakes import MemoryActivity, make_event, write_segment


class OneStep:
    def __init__(self) -> None:
        self.left = 3

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0

    def wait(self, timeout_s: float) -> bool:
        return False


def consume(folder: Path, store: MemoryActivity) -> None:
    run_consumer(folder / "log", folder / "state.db", store, OneStep(), Pace(items_every_s=0.0))


def test_nothing_of_the_user_is_left_and_others_lose_nothing(tmp_path: Path) -> None:
    """In live and sealed segments, read and unread, in the state, and online after the consumer's next step."""
    log, store = tmp_path / "log", MemoryActivity()
    log.mkdir()
    begun_us = now_us() - 1_000_000
    events = [
        make_event(n, user=user, event_id=f"{user}-{n}", time_us=begun_us + n)
        for n, user in enumerate(["anna", "Ben Gone", "anna", "Ben Gone"])
    ]
    for name in ("sealed", "live"):
        write_segment(log / f"events-{name}-000001.log", events[:2] if name == "sealed" else events[2:])
    (log / "events-sealed-000001.log").chmod(0o444)
    consume(tmp_path, store)
    assert set(store.users) == {"anna", "Ben Gone"}
    write_segment(log / "events-live-000001.log", [make_event(9, user="Ben Gone", event_id="Ben Gone-9", time_us=begun_us)])

    assert erase_user(log, tmp_path / "state.db", "Ben Gone") == 3
    assert not is_erased_online(tmp_path / "state.db", "Ben Gone")
    consume(tmp_path, store)
    assert is_erased_online(tmp_path / "state.db", "Ben Gone")
    assert set(store.users) == set(store.user_recent) == {"anna"}
    assert consumer_lag(log, tmp_path / "state.db").none
    for file in [*log.glob("*.log"), *tmp_path.glob("state.db*")]:
        assert b"Ben Gone" not in file.read_bytes(), file
    kept = [decode(file.read_bytes()) for file in sorted(log.glob("*.log"))]
    assert [event.event_id for records in kept for event in records.events] == ["anna-2", "anna-0"]
    assert [records.damaged for records in kept] == [0, 0]
    assert is_sealed((log / "events-sealed-000001.log").stat())


def test_what_was_read_before_is_not_counted_after(tmp_path: Path) -> None:
    """Also when it arrives from elsewhere; what the user does later is."""
    (tmp_path / "log").mkdir()
    state = ConsumerState(tmp_path / "state.db", remembered_days=30)
    before = make_event(1, user="u", time_us=now_us())
    erase_user(tmp_path / "log", tmp_path / "state.db", "u")
    after = make_event(2, user="u", time_us=now_us() + 1)
    assert state.take(Batch([before, after], {}, 0), MemoryActivity()) == 1
    state.close()


def test_readers_keep_their_place(tmp_path: Path) -> None:
    """A record keeps its length."""
    log = tmp_path / "log"
    log.mkdir()
    write_segment(log / "events-a-000001.log", [make_event(1, user="a"), make_event(2, user="b"), make_event(3, user="a")])
    tail, offsets = Tail(log), {}
    half = len((log / "events-a-000001.log").read_bytes()) * 2 // 3
    offsets["events-a-000001.log"] = half
    erase_user(log, tmp_path / "state.db", "b")
    batch = tail.read(offsets, 10)
    assert ([event.event_id for event in batch.events], batch.damaged) == (["e3"], 0)


def test_erasing_whoever_did_nothing_is_nothing(tmp_path: Path) -> None:
    """Before any event was recorded, too."""
    assert erase_user(tmp_path / "log", tmp_path / "state" / "state.db", "nobody") == 0


@pytest.mark.parametrize("user", ['say "hi"', "Зоя", "back\\slash", "7", "\u2028", "-2147483648"])
def test_whatever_an_id_is_made_of_it_is_found(tmp_path: Path, user: str) -> None:
    """And nobody else whose id has it within, or whose events do."""
    (tmp_path / "log").mkdir()
    others = [make_event(2, user=f"{user}7"), make_event(3, user="u", item=user), make_event(4, user="u", request_id=user)]
    write_segment(tmp_path / "log/events-a-000001.log", [make_event(1, user=user), *others])
    assert count_user(tmp_path / "log", tmp_path / "state.db", user) == 1
    assert erase_user(tmp_path / "log", tmp_path / "state.db", user) == 1
    assert count_user(tmp_path / "log", tmp_path / "state.db", user) == 0
    assert decode((tmp_path / "log/events-a-000001.log").read_bytes()).events == others
