"""Every call of a run in the order they ended, what was wrong with each, and when answers were whole again after a fault."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from banquet.v1 import recommendation_pb2 as pb
from bench.load import percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTLED_S = 2.0


@dataclass(frozen=True, slots=True)
class Call:
    """When a call was due and when it ended; the status code if it failed; what its answer left out, as `stage: reason`."""

    due_s: float
    ended_s: float
    failure: str = ""
    left_out: tuple[str, ...] = ()
    catalogue_age_s: float = 0.0

    @property
    def whole(self) -> bool:
        return not self.failure and not self.left_out


@dataclass
class Timeline:
    """A record of calls; times are of `time.perf_counter`."""

    calls: list[Call] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)

    def answered(self, due_s: float, late_s: float, answer: bytes) -> None:
        ended_s = time.perf_counter()
        info = pb.RecommendResponse.FromString(answer).info
        left_out = tuple(f"{one.stage}: {one.reason}" for one in info.degradations)
        self.late_s.append(late_s)
        self.calls.append(Call(due_s, ended_s, left_out=left_out, catalogue_age_s=info.catalogue_age_s))

    def failed(self, due_s: float, code: str) -> None:
        self.calls.append(Call(due_s, time.perf_counter(), failure=code))

    def between(self, from_s: float, until_s: float) -> Sequence[Call]:
        """The calls that ended in this time."""
        ended_s = attrgetter("ended_s")
        return self.calls[bisect_left(self.calls, from_s, key=ended_s) : bisect_left(self.calls, until_s, key=ended_s)]


def recovery_s(calls: Sequence[Call], fault_s: float) -> float | None:
    """Seconds from the fault to the first answer after which all were whole for `SETTLED_S`; 0 if none was broken, None if never.

    `calls` are those that ended since the fault, in that order.
    """
    first: Call | None = None
    for call in calls:
        if not call.whole:
            first = None
            continue
        first = first or call
        if call.ended_s - first.ended_s >= SETTLED_S:
            return 0.0 if first is calls[0] else first.ended_s - fault_s
    return None


def describe(calls: Sequence[Call]) -> dict[str, Any]:
    """Counts, and latencies of the answered calls since they were due; None where nothing was answered."""
    answered = [call for call in calls if not call.failure]
    latencies_ms = [(call.ended_s - call.due_s) * 1e3 for call in answered]
    return {
        "requests": len(calls),
        "failed": len(calls) - len(answered),
        "failures": dict(Counter(call.failure for call in calls if call.failure)),
        "degraded": sum(1 for call in answered if not call.whole),
        "degradations": dict(Counter(one for call in answered for one in call.left_out)),
        "p50_ms": percentile(latencies_ms, 50) if answered else None,
        "p99_ms": percentile(latencies_ms, 99) if answered else None,
        "oldest_catalogue_s": max((call.catalogue_age_s for call in answered), default=None),
    }
