"""One model call against two for the same answer: both placements in one running Banquet, asked in turns."""

from __future__ import annotations

import asyncio
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import yaml

from banquet.v1 import recommendation_pb2 as pb
from bench import stacks, workspace
from bench.answers import agreement, top_items
from bench.load import Outcome, Target, closed_loop, percentile
from bench.measure import METHOD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from banquet.app.settings import Settings

PLACEMENTS = Path(__file__).with_name("two_calls.yaml")
ONE, TWO = "home", "two_calls"
TURN_CALLS = 50
WARM_UP_S = 5.0


def compare(settings: Settings, folder: Path, users: int, limit: int, turns: int) -> dict[str, Any]:
    """Latencies of `turns` turns for each side; `folder` is for the settings they are served with. In milliseconds."""
    told = settings.model_copy(update={"placements_file": PLACEMENTS, "max_latency_ms": 2000, "port": 0})
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(told.model_dump(mode="json", exclude_none=True)))
    with stacks.banquet(told, file) as address:
        outcomes, spread = asyncio.run(_in_turns(address, told, users, limit, turns))
    one, two = (summary(outcomes[side], spread[side]) for side in (ONE, TWO))
    tops = [top_items([sample.answer for sample in outcomes[side].samples[:TURN_CALLS]]) for side in (ONE, TWO)]
    return {
        "cascade": one,
        "two_calls": two,
        "lower_p50": {part: 1 - one[part] / two[part] for part in ("recommend_p50_ms", "model_calls_p50_ms", "models_p50_ms")},
        "agreement": agreement(*tops),
    }


async def _in_turns(
    address: str, settings: Settings, users: int, limit: int, turns: int
) -> tuple[dict[str, Outcome], dict[str, list[float]]]:
    outcomes, medians = {side: Outcome() for side in (ONE, TWO)}, {side: list[float]() for side in (ONE, TWO)}
    requests = {side: workspace.draw_requests(settings, users, limit, side) for side in (ONE, TWO)}
    async with Target(address, METHOD, requests[ONE]) as one, Target(address, METHOD, requests[TWO]) as two:
        targets = {ONE: one, TWO: two}
        for target in targets.values():
            await closed_loop(target, concurrency=1, seconds=WARM_UP_S)
        for turn in range(turns):
            for side in (ONE, TWO) if turn % 2 == 0 else (TWO, ONE):
                outcome = await closed_loop(targets[side], concurrency=1, seconds=60.0, max_calls=TURN_CALLS)
                outcomes[side].samples += outcome.samples
                outcomes[side].failures += outcome.failures
                medians[side].append(outcome.percentile_ms(50))
    return outcomes, medians


def summary(outcome: Outcome, medians: Sequence[float]) -> dict[str, Any]:
    """Of whole requests, of what their model calls took, and of what the models did meanwhile."""
    calls = list(_model_times(outcome))
    return {
        "answered": len(outcome.samples),
        "failures": dict(outcome.failures),
        "recommend_p50_ms": outcome.percentile_ms(50),
        "recommend_p99_ms": outcome.percentile_ms(99),
        "model_calls_p50_ms": percentile((call_ms for call_ms, _ in calls), 50),
        "models_p50_ms": percentile((model_ms for _, model_ms in calls), 50),
        "turns_p50_ms": {"least": min(medians), "median": median(medians), "most": max(medians)},
    }


def _model_times(outcome: Outcome) -> Iterator[tuple[float, float]]:
    """Per answer: the time of the stages that call models, and the models' own part of it."""
    for sample in outcome.samples:
        if sample.answer:
            timings = [timing for timing in pb.RecommendResponse.FromString(sample.answer).info.timings if timing.backend]
            yield sum(timing.elapsed_ms for timing in timings), sum(timing.model_ms for timing in timings)
