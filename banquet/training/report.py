"""A release's metrics as a person reads them: each model beside the baselines it must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

FOUND = ("hr@10", "ndcg@10", "recall@500", "coverage")
TOLD_APART = ("auc", "log_loss")
COMPARED = ("graph_bytes", "program_bytes", "dense_parameters", "p50_ms", "requests_per_s", "ndcg@10", "auc")


def metrics_tables(metrics: Mapping[str, Any]) -> list[Table]:
    """What was found, what was told apart, and how long it took."""
    retrieval, ranking = metrics["retrieval"], metrics["ranking"]
    found = _table(
        f"Found the last item of {retrieval['targets']:,} users, among all items",
        FOUND,
        {
            "popularity": retrieval["popularity"],
            "Markov-1": retrieval["markov"],
            "retrieval": retrieval["model"],
            "retrieval, ranked": ranking["cascade"],
        },
    )
    told_apart = _table(
        f"Told apart {ranking['rows']:,} items: {ranking['task']}",
        TOLD_APART,
        {"logistic regression": ranking["logistic_regression"], "ranking": ranking["model"]},
    )
    spent = Table("part", "wall s", "cpu s", title="Time", title_justify="left")
    for part, seconds in metrics["seconds"].items():
        spent.add_row(part, f"{seconds['wall']:.1f}", f"{seconds['cpu']:.1f}")
    return [found, told_apart, *_served_tables(metrics.get("served")), spent]


def optimized_table(metrics: Mapping[str, Any]) -> Table:
    """A release made smaller or faster beside the one it was made from, and their ratio."""
    table = Table(title="500 candidates, 1 thread", title_justify="left")
    for heading in ("", "original", "optimized", "ratio"):
        table.add_column(heading, justify="right" if heading else "left")
    for name in COMPARED:
        before, after = metrics["original"][name], metrics["optimized"][name]
        shown = [f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" for value in (before, after)]
        table.add_row(name.replace("_", " "), *shown, f"{after / before:.3f}" if before else "")
    return table


def _served_tables(served: Mapping[str, Any] | None) -> list[Table]:
    if served is None:
        return []
    rows = {"as it was served": "as_served", "popularity": "popularity", "retrieval": "retrieval", "retrieval, ranked": "model"}
    title = f"Ordered {served['answers']['test']:,} answers shown later, of {served['answers']['train']:,} learned from"
    return [_table(title, ("auc", "ndcg@10"), {name: served[key] for name, key in rows.items()})]


def _table(title: str, names: tuple[str, ...], rows: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("model")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for model, values in rows.items():
        table.add_row(model, *(f"{values[name]:.4f}" if name in values else "" for name in names))
    return table
