"""Windowed features equal those computed from all events at once, in whatever order they come and however time passes."""

import random

from hypothesis import given
from hypothesis import strategies as st

from banquet.core.declared import WINDOWS
from banquet.feedback.windows import count, due_us, from_text, no_steps, slide, to_text, values_of
from tests.unit.feedback.fakes import START_US, make_event, random_events, recomputed_recent

HOUR_US = 3_600_000_000


@given(st.integers(0, 1_000), st.integers(0, 9 * 24 * 60), st.integers(1, 40))
def test_order_batches_and_the_time_of_counting_do_not_matter(seed: int, minutes: int, batch_size: int) -> None:
    """Late events land in the window in which they happened, and those that happened too long ago in none."""
    chance = random.Random(seed)
    events = [
        make_event(number, item="i", kind=event.type, time_us=START_US + chance.randrange(8 * 24 * HOUR_US))
        for number, event in enumerate(random_events(60, seed))
    ]
    last_us = START_US + 8 * 24 * HOUR_US + minutes * 60_000_000
    steps = no_steps()
    for start in range(0, len(events), batch_size):
        now_us = START_US + (last_us - START_US) * start // len(events)
        slide(steps, now_us)
        count(steps, events[start : start + batch_size], now_us)
        steps = from_text(to_text(steps))
    slide(steps, last_us)
    expected = recomputed_recent(events, "user_id", last_us)
    assert values_of(steps) == expected.get("u1", values_of(no_steps()))


@given(st.integers(0, 200))
def test_a_window_changes_when_it_is_due_and_not_before(seed: int) -> None:
    """So a scheduler that wakes then misses nothing."""
    events = [make_event(number, time_us=START_US + seed * 7_777_777 * number) for number in range(10)]
    now_us = START_US + HOUR_US // 2
    steps = no_steps()
    count(steps, events, now_us)
    slide(steps, now_us)
    values = values_of(steps)
    while (due := due_us(steps)) is not None:
        slide(steps, due - 1)
        assert values_of(steps) == values
        slide(steps, due)
        assert values_of(steps) != values
        values = values_of(steps)
    assert values == values_of(no_steps())


def test_an_event_counts_for_the_length_of_its_window_but_a_step() -> None:
    """At least; and never for longer than the length."""
    for number, window in enumerate(WINDOWS):
        for offset_s in (0, 1, window.step_s - 1):
            at_us = START_US // (window.step_s * 1_000_000) * window.step_s * 1_000_000 + offset_s * 1_000_000
            steps = no_steps()
            count(steps, [make_event(1, time_us=at_us)], at_us)
            slide(steps, at_us + (window.length_s - window.step_s) * 1_000_000)
            assert steps[number]
            slide(steps, at_us + window.length_s * 1_000_000)
            assert not steps[number]


def test_a_click_without_an_impression_implies_one() -> None:
    """A rate never exceeds one, and without any event it is the prior's."""
    steps = no_steps()
    assert values_of(steps)["click_rate_1h"] == 1 / 20
    count(steps, [make_event(number, time_us=START_US) for number in range(80)], START_US)
    assert values_of(steps)["click_rate_1h"] == 81 / 100


def test_an_event_ahead_of_the_clock_counts_at_once() -> None:
    """Callers' clocks may be five minutes ahead."""
    steps = no_steps()
    count(steps, [make_event(1, time_us=START_US + 300_000_000)], START_US)
    assert values_of(steps)["clicks_1h"] == 1
