"""The feature plane as Prometheus metrics, gathered when somebody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from banquet.app.feature_status import known_lag, set_aside, view_statuses
from banquet.features.census import read_census

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class FeaturePlane(Collector):
    """Per view what was counted last; and how far the consumer is behind. What cannot be read is left out."""

    def __init__(self, catalogue: Path, feedback: Path) -> None:
        self._catalogue = catalogue
        self._feedback = feedback

    def collect(self) -> Iterator[GaugeMetricFamily]:
        lag = known_lag(self._feedback)
        rows = _gauge("rows", "Entities that have a row.")
        missing = _gauge("missing_ratio", "Share of the features that have no value.")
        age = _gauge("age_seconds", "Time since the newest event.")
        materialized = _gauge("materialized_age_seconds", "Time since the moment up to which the view was materialized.")
        unpushed = _gauge("unpushed_rows", "Rows that events changed and the online store has yet to get.")
        for view in view_statuses(read_census(self._catalogue), self._catalogue, lag, None):
            rows.add_metric([view.view], view.rows)
            missing.add_metric([view.view], view.missing)
            unpushed.add_metric([view.view], view.unpushed)
            if view.age_s is not None:
                age.add_metric([view.view], view.age_s)
            if view.materialized_s is not None:
                materialized.add_metric([view.view], view.materialized_s)
        yield from (rows, missing, age, materialized, unpushed)
        if lag is not None:
            yield GaugeMetricFamily("banquet_unread_events_bytes", "Events the consumer has yet to read.", value=lag.unread_bytes)
        if (strange := set_aside(self._feedback)) is not None:
            yield GaugeMetricFamily(
                "banquet_events_set_aside", "Events whose user or item cannot be in the store.", value=strange
            )

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing: otherwise registering would gather everything once."""
        yield from ()


def _gauge(name: str, meaning: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"banquet_view_{name}", meaning, labels=["view"])
