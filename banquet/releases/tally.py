"""What a release's answers came to: counts that can be added up over gateways."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Upper bounds of the latencies counted together, a fifth apart; the last one has no bound.
BOUNDS_MS = tuple(round(2 ** (step / 4), 3) for step in range(-4, 52))
COUNTS = ("answers", "errors", "degraded", "impressions", "clicks")


@dataclass(slots=True)
class Tally:
    """`errors` are queries without an answer; `degraded` answers lack what a model should have given."""

    answers: int = 0
    errors: int = 0
    degraded: int = 0
    impressions: int = 0
    clicks: int = 0
    latencies: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))

    @property
    def queries(self) -> int:
        return self.answers + self.errors

    def answered(self, elapsed_ms: float, *, degraded: bool) -> None:
        self.answers += 1
        self.degraded += degraded
        self.latencies[bisect_left(BOUNDS_MS, elapsed_ms)] += 1

    def percentile_ms(self, percent: float) -> float:
        """The upper bound of the latencies counted with the percentile; infinite beyond the last, 0 of none."""
        wanted = sum(self.latencies) * percent / 100
        below = 0
        for count, bound_ms in zip(self.latencies, (*BOUNDS_MS, float("inf")), strict=True):
            below += count
            if below and below >= wanted:
                return bound_ms
        return 0.0

    def to_json(self) -> dict[str, Any]:
        return {**{name: getattr(self, name) for name in COUNTS}, "latencies": self.latencies}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Tally:
        """Raises `ValueError`, `KeyError` or `TypeError` for anything else than `to_json` makes."""
        latencies = [int(count) for count in body["latencies"]]
        if len(latencies) != len(BOUNDS_MS) + 1:
            raise ValueError(f"{len(latencies)} counts of latencies; want {len(BOUNDS_MS) + 1}")
        return cls(**{name: int(body[name]) for name in COUNTS}, latencies=latencies)


def added(tallies: Iterable[Tally]) -> Tally:
    """The tallies of several gateways as one."""
    total = Tally()
    for tally in tallies:
        for name in COUNTS:
            setattr(total, name, getattr(total, name) + getattr(tally, name))
        total.latencies = [a + b for a, b in zip(total.latencies, tally.latencies, strict=True)]
    return total
