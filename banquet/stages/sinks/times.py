"""Histograms of seconds that are told of ten times per answer: what prometheus_client's own exposes, at a fifth of the cost.

No lock, since only the event loop's thread counts; whoever collects reads numbers that may be a few answers apart.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client import CollectorRegistry

BOUNDS_S = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0)
_NAMES = (*map(str, BOUNDS_S), "+Inf")


class Times(Collector):
    """A histogram with labels, which come as a tuple in the order of their names."""

    def __init__(self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry = REGISTRY) -> None:
        self._about = name, text, labels
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums_s: dict[tuple[str, ...], float] = {}
        registry.register(self)

    def add(self, labels: tuple[str, ...], seconds: float) -> None:
        counts = self._counts.get(labels)
        if counts is None:
            self._sums_s[labels] = 0.0
            counts = self._counts[labels] = [0] * len(_NAMES)
        counts[bisect_left(BOUNDS_S, seconds)] += 1
        self._sums_s[labels] += seconds

    def describe(self) -> Iterator[HistogramMetricFamily]:
        name, text, labels = self._about
        yield HistogramMetricFamily(name, text, labels=labels)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        for family in self.describe():
            for labels, counts in list(self._counts.items()):
                up_to = zip(_NAMES, map(float, accumulate(counts)), strict=True)
                family.add_metric(labels, list(up_to), self._sums_s[labels])
            yield family
