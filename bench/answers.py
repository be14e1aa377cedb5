"""What the answers themselves say: time per stage, time outside the models, and whether two servers agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from banquet.v1 import recommendation_pb2 as pb
from bench.load import percentile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.load import Sample


def describe(samples: Sequence[Sample]) -> dict[str, Any]:
    """Medians over kept answers, and what was left out of them, by `stage/reason`.

    `outside_models_ms` is latency without the models' own time, `outside_model_calls_ms` without the stages that call them.
    """
    elapsed_ms: dict[str, list[float]] = defaultdict(list)
    model_ms: dict[str, list[float]] = defaultdict(list)
    outside_models_ms, outside_calls_ms, items = [], [], []
    degradations: Counter[str] = Counter()
    kept = [(sample, pb.RecommendResponse.FromString(sample.answer)) for sample in samples if sample.answer]
    for sample, answer in kept:
        items.append(len(answer.items))
        degradations.update(f"{d.stage}/{d.reason}" for d in answer.info.degradations)
        for timing in answer.info.timings:
            elapsed_ms[timing.stage].append(timing.elapsed_ms)
            if timing.backend:
                model_ms[timing.stage].append(timing.model_ms)
        with_model = [timing for timing in answer.info.timings if timing.backend]
        outside_models_ms.append(sample.latency_s * 1000 - sum(timing.model_ms for timing in with_model))
        outside_calls_ms.append(sample.latency_s * 1000 - sum(timing.elapsed_ms for timing in with_model))
    return {
        "stages_ms": {
            stage: {"p50": percentile(times, 50), "model_p50": percentile(model_ms[stage], 50) if model_ms[stage] else None}
            for stage, times in elapsed_ms.items()
        },
        "outside_models_ms": percentile(outside_models_ms, 50),
        "outside_model_calls_ms": percentile(outside_calls_ms, 50),
        "items_per_answer": percentile(items, 50),
        "degradations": dict(degradations),
    }


def top_items(answers: Iterable[bytes]) -> list[list[str]]:
    return [[item.item_id for item in pb.RecommendResponse.FromString(answer).items] for answer in answers]


def agreement(left: Sequence[Sequence[str]], right: Sequence[Sequence[str]]) -> float:
    """The mean share of items that two servers' answers to the same requests have in common."""
    shares = [len(set(a) & set(b)) / max(len(a), len(b), 1) for a, b in zip(left, right, strict=True)]
    return sum(shares) / len(shares) if shares else float("nan")


def requests_for(users: Sequence[str], *, placement: str, limit: int) -> list[bytes]:
    """One serialized Recommend per user."""
    return [pb.RecommendRequest(user_id=user, placement=placement, limit=limit).SerializeToString() for user in users]
