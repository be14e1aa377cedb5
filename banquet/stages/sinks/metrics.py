"""Prometheus metrics of every answer."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from banquet.core.stages import Answer

_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0)

ANSWERS = Counter("banquet_answers_total", "Answers sent.", ["placement", "release"])
ANSWER_SECONDS = Histogram("banquet_answer_seconds", "Time to make an answer.", ["placement"], buckets=_SECONDS)
STAGE_SECONDS = Histogram("banquet_stage_seconds", "Time of a stage.", ["placement", "stage"], buckets=_SECONDS)
MODEL_SECONDS = Histogram(
    "banquet_model_seconds", "A model's own time in a call.", ["stage", "backend", "release"], buckets=_SECONDS
)
FALLBACKS = Counter(
    "banquet_model_fallbacks_total",
    "Model calls run by a backend that stands in for a better one.",
    ["stage", "backend", "instead_of"],
)
DEGRADATIONS = Counter("banquet_degradations_total", "Things left out of answers.", ["placement", "stage", "reason"])
ITEMS = Counter("banquet_items_total", "Items sent.", ["placement", "source"])
CATALOGUE_AGE = Gauge("banquet_catalogue_age_seconds", "Age of the catalogue that answered last.")


# Looking a labelled metric up costs more than counting in it, and there are only as many as our own names make.
_answers = cache(ANSWERS.labels)
_answer_seconds = cache(ANSWER_SECONDS.labels)
_stage_seconds = cache(STAGE_SECONDS.labels)
_model_seconds = cache(MODEL_SECONDS.labels)
_fallbacks = cache(FALLBACKS.labels)
_degradations = cache(DEGRADATIONS.labels)
_items = cache(ITEMS.labels)


class Metrics:
    """Counts answers, times, degradations and items; labels are names of our own, never ids."""

    name = "metrics"

    def take(self, answer: Answer) -> None:
        placement = answer.query.placement
        _answers(placement, answer.release).inc()
        _answer_seconds(placement).observe(answer.elapsed_ms / 1e3)
        CATALOGUE_AGE.set(answer.query.catalogue.age_s())
        for timing in answer.timings:
            _stage_seconds(placement, timing.stage).observe(timing.elapsed_ms / 1e3)
            if timing.run.backend:
                _model_seconds(timing.stage, timing.run.backend, timing.run.release).observe(timing.run.model_ms / 1e3)
            if timing.run.instead_of:
                _fallbacks(timing.stage, timing.run.backend, timing.run.instead_of).inc()
        for lost in answer.degradations:
            _degradations(placement, lost.stage, lost.reason).inc()
        for source, items in enumerate(np.bincount(answer.picks.sources).tolist()):
            if items:
                _items(placement, answer.picks.source_names[source]).inc(items)
