"""What is read out of the answers."""

import pytest

from banquet.v1 import recommendation_pb2 as pb
from bench.answers import agreement, describe, requests_for, top_items
from bench.load import Sample


def answer(*items: str, model_ms: float = 2.0, **info) -> bytes:
    timings = [
        pb.StageTiming(stage="users", elapsed_ms=1.0),
        pb.StageTiming(stage="cascade", elapsed_ms=4.0, model_ms=model_ms, backend="onnxruntime"),
    ]
    listed = [pb.ScoredItem(item_id=item) for item in items]
    return pb.RecommendResponse(items=listed, info=pb.AnswerInfo(timings=timings, **info)).SerializeToString()


def test_stages_and_the_time_outside_the_models():
    """Latency minus the models, and minus the stages around them, is what the rest costs."""
    found = describe([Sample(0.010, 0.0, answer("i1", "i2"))])
    assert found["stages_ms"] == {"users": {"p50": 1.0, "model_p50": None}, "cascade": {"p50": 4.0, "model_p50": 2.0}}
    assert found["outside_models_ms"] == pytest.approx(8.0)
    assert found["outside_model_calls_ms"] == pytest.approx(6.0)
    assert found["items_per_answer"] == 2


def test_degradations_are_counted():
    """A benchmark of answers that leave things out says so."""
    left_out = answer("i1", degradations=[pb.Degradation(stage="ranking", reason="timeout")])
    assert describe([Sample(0.01, 0.0, left_out)] * 3)["degradations"] == {"ranking/timeout": 3}


def test_answers_that_were_not_kept_are_left_out():
    """Empty bytes are no answer with no items."""
    assert describe([Sample(0.01, 0.0, answer("i1")), Sample(0.01, 0.0, b"")])["items_per_answer"] == 1


def test_agreement_is_the_mean_share_in_common():
    """Equal answers agree wholly, disjoint ones not at all."""
    same, half = top_items([answer("a", "b")]), top_items([answer("b", "c")])
    assert agreement(same, same) == 1.0
    assert agreement(same, half) == 0.5
    assert agreement(same * 2, same + half) == 0.75


def test_requests_are_one_per_user():
    """Each asks for its user, at the placement, for so many."""
    (request,) = [pb.RecommendRequest.FromString(r) for r in requests_for(["u7"], placement="home", limit=20)]
    assert (request.user_id, request.placement, request.limit) == ("u7", "home", 20)
