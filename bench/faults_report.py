"""What came of the faults: one JSON object, and a table with the failed requests first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from bench.load import percentile
from bench.report import caption, circumstances
from bench.timeline import describe, recovery_s
from bench.victims import FAULTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.strikes import Strike
    from bench.timeline import Timeline

# As long before a fault as after it, so that both percentiles are of as many calls; longer when the outage is.
WINDOW_S = 5.0


def result(workload: Mapping[str, Any], timeline: Timeline, strikes: Sequence[Strike], left_behind: int) -> dict[str, Any]:
    """`left_behind` is the number of processes that outlived `banquet up`."""
    struck = {strike.fault.name for strike in strikes}
    return {
        **circumstances(workload),
        "total": describe(timeline.calls),
        "late_p99_ms": percentile(timeline.late_s, 99) * 1e3 if timeline.late_s else None,
        "faults": [_outcome(timeline, strike) for strike in strikes],
        "not_tried": [fault.name for fault in FAULTS if fault.name not in struck],
        "left_behind": left_behind,
    }


def _outcome(timeline: Timeline, strike: Strike) -> dict[str, Any]:
    """`during` lasts from the fault to the recovery (for ever if there was none), and for `WINDOW_S` at least."""
    recovered_s = recovery_s(timeline.between(strike.at_s, strike.until_s), strike.at_s)
    over_s = strike.until_s if recovered_s is None else strike.at_s + max(recovered_s, WINDOW_S)
    return {
        "name": strike.fault.name,
        "title": strike.fault.title,
        "lasts_s": strike.fault.lasts_s,
        "recovery_s": recovered_s,
        "away_s": strike.away_s,
        "stolen_s": strike.stolen_s,
        "before": describe(timeline.between(strike.at_s - WINDOW_S, strike.at_s)),
        "during": describe(timeline.between(strike.at_s, over_s)),
    }


def show(body: Mapping[str, Any]) -> None:
    """For a person: what callers lost, then how and for how long."""
    total, faults = body["total"], body["faults"]
    table = Table(
        title=f"{total['failed']} of {total['requests']:,} requests failed while {len(faults)} parts of Banquet broke in turn",
        caption=caption(body),
        title_justify="left",
        caption_justify="left",
    )
    for column in (
        "fault",
        "requests",
        "failed",
        "degraded",
        "lasts s",
        "whole after s",
        "p50 ms",
        "p99 ms",
        "before: p50",
        "p99",
    ):
        table.add_column(column, justify="left" if column == "fault" else "right")
    for fault in faults:
        during, before = fault["during"], fault["before"]
        counts = [str(during[key]) for key in ("requests", "failed", "degraded")]
        latencies = [_figure(side[key]) for side in (during, before) for key in ("p50_ms", "p99_ms")]
        table.add_row(
            fault["title"], *counts, _figure(fault["lasts_s"] or None), _figure(fault["recovery_s"], "never"), *latencies
        )
    reasons = Table(title="What the answers said they left out", title_justify="left")
    for column in ("fault", "stage: reason", "failures", "away s", "oldest catalogue s"):
        reasons.add_column(column, justify="right" if column.endswith(" s") else "left")
    for fault in faults:
        during = fault["during"]
        said = [_counts(during[key]) for key in ("degradations", "failures")]
        reasons.add_row(fault["title"], *said, _figure(fault["away_s"], "for good"), _figure(during["oldest_catalogue_s"]))
    Console().print(table, reasons)
    if body["not_tried"]:
        Console().print(f"Not tried, for lack of time or because it was not well before: {', '.join(body['not_tried'])}")
    if body["left_behind"]:
        Console().print(f"{body['left_behind']} processes outlived `banquet up`; they were killed.")


def _figure(value: float | None, otherwise: str = "") -> str:
    return otherwise if value is None else f"{value:,.1f}"


def _counts(counts: Mapping[str, int]) -> str:
    return "\n".join(f"{name} {count}" for name, count in sorted(counts.items()))
