"""Every event finds the answer it belongs to."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from banquet.training.served.events import EVENTS
from banquet.training.served.labels import Windows, label, latest

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def shown_of(*rows: tuple[float, str, str, str]) -> pa.Table:
    """(minutes after noon, request, user, item)."""
    minutes, requests, users, items = zip(*rows, strict=True)
    times = pa.array([NOON + timedelta(minutes=minute) for minute in minutes], pa.timestamp("us", "UTC"))
    return pa.table({"time": times, "request_id": requests, "user_id": users, "item_id": items})


def events_of(*rows: tuple[float, str, str, str, str, float | None]) -> pa.Table:
    """(minutes after noon, request, user, item, type, value)."""
    return pa.Table.from_pylist(
        [
            {
                "event_time": NOON + timedelta(minutes=minute),
                "request_id": request,
                "user_id": user,
                "item_id": item,
                "event_type": kind,
                "value": value,
                "event_id": f"e{number}",
            }
            for number, (minute, request, user, item, kind, value) in enumerate(rows)
        ],
        schema=EVENTS,
    )


SHOWN = shown_of((0, "r1", "ann", "a"), (0, "r1", "ann", "b"), (10, "r2", "ann", "a"), (10, "r3", "bob", "a"))
WINDOWS = Windows(click_s=30 * 60, conversion_s=3600)


def test_an_event_belongs_to_the_request_it_names() -> None:
    """Even though a later answer showed the item again, and even when the caller's clock is behind."""
    labels = label(SHOWN, events_of((12, "r1", "ann", "a", "click", None), (-1, "r3", "bob", "a", "click", None)), WINDOWS)
    assert labels["clicked"].to_pylist() == [True, False, False, True]
    assert labels["delay_s"].to_pylist() == [720.0, None, None, 0.0]


def test_an_event_without_a_request_belongs_to_the_last_answer_before_it() -> None:
    """That showed its user the item; one before any answer belongs to none. An unknown request is no request."""
    events = events_of(
        (11, "", "ann", "a", "click", None), (-5, "", "bob", "a", "purchase", 3.0), (5, "lost", "ann", "b", "click", None)
    )
    labels = label(SHOWN, events, WINDOWS)
    assert labels["clicked"].to_pylist() == [False, True, True, False]
    assert labels["purchased"].to_pylist() == [False] * 4


def test_what_comes_after_its_window_does_not_count() -> None:
    """Clicks and conversions have windows of their own."""
    late = events_of((31, "r1", "ann", "a", "click", None), (59, "r1", "ann", "b", "rating", 4.0))
    labels = label(SHOWN, late, WINDOWS)
    assert labels["clicked"].to_pylist() == [False] * 4
    assert labels["rating"].to_pylist() == [None, 4.0, None, None]
    assert labels["taken"].to_pylist() == [False, True, False, False]


def test_impressions_are_unknown_where_nobody_reports_them() -> None:
    """Where some are reported, the rest of the answer was not seen; an impression is no interest."""
    labels = label(SHOWN, events_of((1, "r1", "ann", "a", "impression", None)), WINDOWS)
    assert labels["impressed"].to_pylist() == [True, False, None, None]
    assert not any(labels["taken"].to_pylist())


def test_an_event_that_is_in_the_log_twice_counts_once() -> None:
    """The first time it says it happened."""
    twice = pa.concat_tables([events_of((5, "r1", "ann", "a", "click", None))] * 2)
    assert label(SHOWN, twice, WINDOWS)["delay_s"].to_pylist()[0] == 300.0


def test_no_events_and_nothing_shown_are_fine() -> None:
    """Everything is a negative, or nothing is anything."""
    assert not any(label(SHOWN, EVENTS.empty_table(), WINDOWS)["taken"].to_pylist())
    assert label(SHOWN.slice(0, 0), events_of((1, "r1", "ann", "a", "click", None)), WINDOWS).num_rows == 0


def test_latest_agrees_with_looking_at_every_row() -> None:
    """Against the plain definition, on random keys and times."""
    rng = np.random.default_rng(3)
    keys, asked, happened = rng.integers(0, 5, 90), rng.integers(0, 30, 50), rng.integers(0, 30, 40)
    found = latest(keys, asked, happened)
    for event, row in enumerate(found.tolist()):
        fitting = [k for k in range(50) if keys[k] == keys[50 + event] and asked[k] <= happened[event]]
        assert (row == -1) == (not fitting)
        assert row == -1 or (row in fitting and asked[row] == max(asked[k] for k in fitting))
