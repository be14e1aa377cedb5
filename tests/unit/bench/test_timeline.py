"""When answers were whole again, and what was said of those that were not."""

import time

import pytest

from banquet.v1 import recommendation_pb2 as pb
from bench.timeline import Call, Timeline, describe, recovery_s

FAULT_S = 100.0
STEP_S = 0.1


def calls(pattern: str) -> list[Call]:
    """One call each `STEP_S` since the fault: `.` whole, `d` degraded, `f` failed."""
    kinds = {".": {}, "d": {"left_out": ("cascade: timeout",)}, "f": {"failure": "UNAVAILABLE"}}
    return [Call(at_s - 0.01, at_s, **kinds[kind]) for n, kind in enumerate(pattern) for at_s in [FAULT_S + STEP_S * (n + 1)]]


def test_recovery_is_the_first_answer_of_the_whole_ones():
    """Broken calls end it where they end, not where the wait for more of them does."""
    assert recovery_s(calls("dfddd" + "." * 30), FAULT_S) == pytest.approx(0.6)


def test_a_short_calm_is_no_recovery():
    """Whole answers count only once they last."""
    assert recovery_s(calls("dd" + "." * 19 + "d" + "." * 30), FAULT_S) == pytest.approx(2.3)


def test_failed_calls_are_as_bad_as_degraded_ones():
    """A failure starts the wait over."""
    assert recovery_s(calls("d...f" + "." * 30), FAULT_S) == pytest.approx(0.6)


def test_nothing_broken_is_recovered_at_once():
    """A fault that no caller noticed took no time."""
    assert recovery_s(calls("." * 30), FAULT_S) == 0.0


def test_an_effect_that_comes_late_counts():
    """The first answers after a fault may be whole still."""
    assert recovery_s(calls("...dd" + "." * 30), FAULT_S) == pytest.approx(0.6)


@pytest.mark.parametrize("pattern", ["", "d", "." * 20, "d" * 50, "." * 15 + "d" + "." * 15])
def test_without_a_lasting_calm_there_is_no_recovery(pattern):
    """As many whole answers as it takes must have been seen."""
    assert recovery_s(calls(pattern), FAULT_S) is None


def test_calls_belong_to_the_time_they_ended_in():
    """A call under way when the fault came is one of those that met it."""
    early, met, late = (Call(99.0, ended_s) for ended_s in (99.9, 100.1, 102.0))
    assert Timeline([early, met, late]).between(100.0, 102.0) == [met]


def test_counts_and_latencies():
    """Failed calls have no latency; degraded ones do; reasons are counted one by one."""
    said = describe(
        [
            Call(1.0, 1.01, catalogue_age_s=0.2),
            Call(1.0, 1.03, left_out=("cascade: timeout", "ranking: timeout"), catalogue_age_s=0.7),
            Call(1.0, 1.2, failure="DEADLINE_EXCEEDED"),
        ]
    )
    assert (said["requests"], said["failed"], said["degraded"]) == (3, 1, 1)
    assert said["failures"] == {"DEADLINE_EXCEEDED": 1}
    assert said["degradations"] == {"cascade: timeout": 1, "ranking: timeout": 1}
    assert (said["p50_ms"], said["p99_ms"]) == (pytest.approx(10), pytest.approx(30))
    assert said["oldest_catalogue_s"] == 0.7


def test_nothing_answered_has_no_latency():
    """None, which JSON can hold, and no zero that would look quick."""
    said = describe([Call(1.0, 1.2, failure="UNAVAILABLE")])
    assert said["p50_ms"] is said["p99_ms"] is said["oldest_catalogue_s"] is None


def test_answers_say_what_they_left_out():
    """What the load hands over becomes a call with stage and reason."""
    timeline = Timeline()
    info = pb.AnswerInfo(catalogue_age_s=0.5, degradations=[pb.Degradation(stage="ranking", reason="timeout")])
    timeline.answered(time.perf_counter() - 0.1, 0.0, pb.RecommendResponse(info=info).SerializeToString())
    timeline.failed(time.perf_counter(), "UNAVAILABLE")
    answered, failed = timeline.calls
    assert answered.left_out == ("ranking: timeout",)
    assert answered.catalogue_age_s == 0.5
    assert answered.ended_s - answered.due_s >= 0.1
    assert failed.failure == "UNAVAILABLE"
    assert not answered.whole
    assert not failed.whole
