"""What is told of each fault."""

import json

import pytest

from bench.faults_report import result, show
from bench.strikes import Strike
from bench.timeline import Call, Timeline
from bench.victims import FAULTS

DEGRADED = ("cascade: unavailable",)


def each_second(first_s: int, last_s: int, **said) -> list[Call]:
    return [Call(at_s - 0.01, float(at_s), **said) for at_s in range(first_s, last_s)]


def test_before_and_during_are_apart():
    """The outage has its own counts and percentiles, next to as long a time before."""
    calls = [*each_second(90, 100), *each_second(100, 108, left_out=DEGRADED), *each_second(108, 120)]
    body = result({}, Timeline(calls), [Strike(FAULTS[0], 100.0, 115.0, 1.5)], 0)
    (told,) = body["faults"]
    assert told["recovery_s"] == pytest.approx(8.0)
    assert told["away_s"] == 1.5
    assert (told["before"]["requests"], told["before"]["degraded"]) == (5, 0)
    assert (told["during"]["requests"], told["during"]["degraded"]) == (8, 8)
    assert body["total"]["requests"] == 30


def test_a_short_outage_is_watched_as_long_as_the_time_before():
    """Percentiles of a handful of calls say little."""
    calls = [*each_second(90, 100), *each_second(100, 101, failure="UNAVAILABLE"), *each_second(101, 120)]
    (told,) = result({}, Timeline(calls), [Strike(FAULTS[0], 100.0, 110.0, 0.1)], 0)["faults"]
    assert told["recovery_s"] == pytest.approx(1.0)
    assert (told["during"]["requests"], told["during"]["failed"]) == (5, 1)


def test_what_was_not_tried_is_named(capsys):
    """A run cut short is no clean bill; it can be written and shown all the same."""
    calls = [*each_second(90, 100), *each_second(100, 125, failure="UNAVAILABLE")]
    body = result({}, Timeline(calls), [Strike(FAULTS[0], 100.0, 125.0, None)], 1)
    assert body["faults"][0]["recovery_s"] is None
    assert body["not_tried"] == [fault.name for fault in FAULTS[1:]]
    json.dumps(body, allow_nan=False)
    show(body)
    said = capsys.readouterr().out
    assert "25 of 35 requests failed" in said
    assert "never" in said
    assert "consumer_killed" in said
