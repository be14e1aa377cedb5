"""What Prometheus is told of an answer."""

from prometheus_client import REGISTRY

from banquet.core.stages import ModelRun, Timing
from banquet.stages.sinks.metrics import Metrics
from tests.unit.stages.sinks.test_served_log import make_answer


def test_a_backend_that_stands_in_for_a_better_one_is_counted() -> None:
    """By stage, with both names; one that was meant to serve is not."""
    labels = {"stage": "cascade", "backend": "eager", "instead_of": "onnxruntime"}
    answer = make_answer()
    answer.timings[:] = [
        Timing("cascade", 1.0, ModelRun("r", "eager", 0.5, "onnxruntime")),
        Timing("ranking", 1.0, ModelRun("r", "eager", 0.5)),
    ]
    before = REGISTRY.get_sample_value("banquet_model_fallbacks_total", labels) or 0.0
    Metrics().take(answer)
    assert REGISTRY.get_sample_value("banquet_model_fallbacks_total", labels) == before + 1
    ranking = {"stage": "ranking", "backend": "eager", "instead_of": ""}
    assert REGISTRY.get_sample_value("banquet_model_fallbacks_total", ranking) is None
