"""Records of events: what is written is read back, and damage costs what it hit."""

import json
import zlib

from hypothesis import given
from hypothesis import strategies as st

from banquet.feedback.events import Event, Records, decode, encode
from tests.unit.feedback.fakes import any_event, make_event

some_events = st.lists(any_event, max_size=6)


@given(some_events)
def test_events_come_back_as_they_were_written(events: list[Event]) -> None:
    """Whatever text and numbers they hold."""
    log = b"".join(map(encode, events))
    assert decode(log) == Records(events, len(log), 0)


@given(some_events, st.data())
def test_a_cut_costs_the_record_it_hit(events: list[Event], data: st.DataObject) -> None:
    """A torn tail is left alone until the rest of it arrives, even when only its newline is missing."""
    records = [encode(event) for event in events]
    log = b"".join(records)
    cut = data.draw(st.integers(0, len(log)))
    found = decode(log[:cut])
    assert found.events == events[: len(found.events)]
    assert found.consumed == sum(map(len, records[: len(found.events)]))
    assert found.damaged == 0
    assert cut - found.consumed < max(map(len, records), default=1)


@given(st.lists(any_event, min_size=1, max_size=5), st.data())
def test_a_changed_byte_costs_at_most_its_record(events: list[Event], data: st.DataObject) -> None:
    """Wherever it lies: in the length, the checksum, the body or the newline."""
    records = [encode(event) for event in events]
    log = bytearray(b"".join(records))
    place = data.draw(st.integers(0, len(log) - 1))
    log[place] ^= data.draw(st.integers(1, 255))
    hit = next(k for k in range(len(records)) if place < sum(map(len, records[: k + 1])))
    found = decode(bytes(log))
    assert found.events in (events, events[:hit] + events[hit + 1 :])


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(data: bytes) -> None:
    """Garbage holds no events and raises nothing."""
    found = decode(data)
    assert found.events == []
    assert found.consumed <= len(data)


def test_a_length_that_was_made_huge_does_not_hide_what_follows() -> None:
    """The next line is found although the damaged record claims to reach beyond it."""
    first, second = encode(make_event(1)), encode(make_event(2))
    found = decode(b"7fffffff" + first[8:] + second)
    assert (found.events, found.damaged) == ([make_event(2)], 1)


def test_unknown_keys_are_left_out() -> None:
    """A log written by a newer version can be read."""

    body = json.dumps({"event_id": "e", "type": "click", "user_id": "u", "item_id": "i", "time_us": 1, "mood": "good"}).encode()
    assert decode(b"%08x %08x %s\n" % (len(body), zlib.crc32(body), body)).events == [Event("e", "click", "u", "i", 1)]
