from banquet.v1 import recommendation_pb2 as pb
from bench.load import Outcome, Sample
from bench.model_calls import summary


def answer(*stages: tuple[str, float, str, float]) -> bytes:
    timings = [pb.StageTiming(stage=s, elapsed_ms=elapsed, backend=b, model_ms=model) for s, elapsed, b, model in stages]
    return pb.RecommendResponse(info=pb.AnswerInfo(timings=timings)).SerializeToString()


def test_all_calls_of_an_answer_count_together() -> None:
    """Two stages with a model are one sum; stages without, and answers that were not kept, are left out."""
    two = answer(("users", 9.0, "", 0.0), ("retrieval", 2.0, "eager", 0.5), ("ranking", 3.0, "eager", 1.0))
    outcome = Outcome([Sample(0.010, 0.0, two), Sample(0.012, 0.0, two), Sample(0.030, 0.0, b"")])
    told = summary(outcome, [9.0, 11.0, 10.0])
    assert (told["model_calls_p50_ms"], told["models_p50_ms"]) == (5.0, 1.5)
    assert told["recommend_p50_ms"] == 12.0
    assert told["turns_p50_ms"] == {"least": 9.0, "median": 10.0, "most": 11.0}
