"""A shadow is compared and never served, and has no more than a few queries at a time."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY

from banquet.app.shadow import MOST_AT_ONCE, Shadow, overlap
from tests.fakes import FakeSource, make_query
from tests.unit.app.releases_at_work import make_release


async def answer_of(rows, limit=3):
    live = make_release("served", FakeSource("cascade", rows))
    return live.placements["home"], await live.answer(live.placements["home"], make_query(limit=limit))


def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def finished(shadow):
    await asyncio.gather(*shadow._tasks)


async def test_a_shadow_is_compared_with_what_was_served():
    """Its share of the same items goes into the metrics, its failures into its tally."""
    shadow, candidate = Shadow(1.0), make_release("near", FakeSource("cascade", [1, 2, 9]))
    pipeline, answer = await answer_of([1, 2, 3])
    shadow.follow(candidate, pipeline, answer)
    await finished(shadow)
    labels = {"release": "near", "placement": "home"}
    assert value("banquet_shadow_queries_total", **labels, outcome="compared") == 1
    assert value("banquet_shadow_overlap_sum", **labels) == pytest.approx(2 / 3)
    assert value("banquet_shadow_slower_seconds_count", **labels) == 1
    assert candidate.tally.answers == 1


async def test_more_than_a_few_at_once_are_dropped():
    """Those who wait for answers have the models first."""
    shadow, candidate = Shadow(1.0), make_release("slow", FakeSource("cascade", [1], delay_s=0.05))
    pipeline, answer = await answer_of([1])
    for _ in range(MOST_AT_ONCE + 3):
        shadow.follow(candidate, pipeline, answer)
    await finished(shadow)
    assert candidate.tally.answers == MOST_AT_ONCE
    assert value("banquet_shadow_queries_total", release="slow", placement="home", outcome="dropped") == 3


async def test_a_late_shadow_ends_with_the_time_a_query_has():
    """And closing does not wait for it."""
    shadow, candidate = Shadow(0.05), make_release("late", FakeSource("cascade", [1], delay_s=9))
    pipeline, answer = await answer_of([1])
    shadow.follow(candidate, pipeline, answer)
    await finished(shadow)
    assert candidate.tally.degraded == 1
    shadow.follow(candidate, pipeline, answer)
    await shadow.close()
    assert candidate.in_flight == 0


async def test_overlap_is_of_the_items_served():
    """None in common, all in common, and nothing served."""
    _, one = await answer_of([1, 2, 3])
    _, other = await answer_of([4, 5, 6])
    _, nothing = await answer_of([])
    assert overlap(one, one) == (1.0, 0.0)
    assert overlap(one, other) == (0.0, 0.0)
    assert overlap(nothing, one) is None
