"""Prometheus metrics of every answer."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import Counter, Gauge

from banquet.stages.sinks.times import Times

if TYPE_CHECKING:
    from banquet.core.stages import Answer

ANSWERS = Counter("banquet_answers_total", "Answers sent.", ["placement", "release"])
ANSWER_SECONDS = Times("banquet_answer_seconds", "Time to make an answer.", ["placement"])
STAGE_SECONDS = Times("banquet_stage_seconds", "Time of a stage.", ["placement", "stage"])
MODEL_SECONDS = Times("banquet_model_seconds", "A model's own time in a call.", ["stage", "backend", "release"])
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
_fallbacks = cache(FALLBACKS.labels)
_degradations = cache(DEGRADATIONS.labels)
_items = cache(ITEMS.labels)


class Metrics:
    """Counts answers, times, degradations and items; labels are names of our own, never ids."""

    name = "metrics"

    def take(self, answer: Answer) -> None:
        placement = answer.query.placement
        _answers(placement, answer.release).inc()
        ANSWER_SECONDS.add((placement,), answer.elapsed_ms / 1e3)
        CATALOGUE_AGE.set(answer.query.catalogue.age_s())
        for timing in answer.timings:
            STAGE_SECONDS.add((placement, timing.stage), timing.elapsed_ms / 1e3)
            run = timing.run
            if run.backend:
                MODEL_SECONDS.add((timing.stage, run.backend, run.release), run.model_ms / 1e3)
            if run.instead_of:
                _fallbacks(timing.stage, run.backend, run.instead_of).inc()
        for lost in answer.degradations:
            _degradations(placement, lost.stage, lost.reason).inc()
        for source, items in enumerate(np.bincount(answer.picks.sources).tolist()):
            if items:
                _items(placement, answer.picks.source_names[source]).inc(items)
