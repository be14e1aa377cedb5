"""Events as the caller makes them."""

from datetime import UTC, datetime

import pytest
from banquet_client import Event, InvalidRequest


def test_events_get_ids_of_their_own_and_the_present_time():
    """Two events never share an id, and time is aware."""
    first, second = (Event(user_id="u7", item_id="i1", type="click") for _ in range(2))
    assert first.event_id != second.event_id
    assert abs((datetime.now(UTC) - first.time).total_seconds()) < 5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": "clik"}, "event type 'clik': must be one of impression, click, rating, purchase"),
        ({"time": datetime(2026, 1, 31, tzinfo=UTC).replace(tzinfo=None)}, "event time 2026-01-31T00:00:00: has no time zone"),
        ({"position": -1}, "event position -1: must be 0 to"),
    ],
)
def test_a_wrong_field_is_named(fields, message):
    """The text says which field, its value and what it must be."""
    with pytest.raises(InvalidRequest, match=message):
        Event(**{"user_id": "u7", "item_id": "i1", "type": "click", **fields})
