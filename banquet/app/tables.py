"""What a person reads: answers and status as tables, every text printed as it is."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from banquet_client import Answer, Recommendation, Status

TITLE = "title"


def plain_console(*, stderr: bool = False) -> Console:
    """The console of every command: data is no markup, so that `[/kg]` and `:heart:` in it stay what they are."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def show(*parts: Table | Text | str) -> None:
    """Prints to standard output; a file or pipe gets the same without colours."""
    console = plain_console()
    for part in parts:
        if isinstance(part, Table) and part.title:
            # Above the table: rich would break it at the table's width.
            console.print(Text(str(part.title), style="bold"))
            part = copy(part)  # noqa: PLW2901 - the same without a title
            part.title = None
        console.print(part, soft_wrap=isinstance(part, str))


def answer_table(answer: Answer, heading: str) -> Table:
    """Items best first, with their titles when the answer's explanations have them."""
    titled = any(TITLE in _attributes(item) for item in answer.items)
    table = _table(heading, [])
    table.add_column("#", justify="right", style="dim")
    table.add_column("item")
    if titled:
        table.add_column(TITLE)
    table.add_column("score", justify="right")
    table.add_column("source")
    for place, item in enumerate(answer.items, start=1):
        title = [_attributes(item).get(TITLE, "")] if titled else []
        table.add_row(str(place), item.item_id, *title, f"{item.score:.4f}", item.source)
    return table


def explanations(answer: Answer) -> Table:
    """A line per item, by its place in the table: its scores, and the attributes that have values."""
    lines = Table.grid(padding=(0, 1))
    lines.add_column(justify="right", style="dim")
    lines.add_column(overflow="fold")
    for place, item in enumerate(answer.items, start=1):
        lines.add_row(str(place), f"{item.item_id}: {', '.join(_explanation(item)) or 'no explanation'}")
    return lines


def answer_facts(answer: Answer) -> Text:
    """The request id, what answered, and what was left out."""
    facts = Text(f"request {answer.request_id} · release {answer.release or 'none'}", style="dim")
    facts.append(f"\ncatalogue {answer.catalogue_version or 'none'} ({answer.catalogue_age_s:.0f} s old)")
    timings = [
        f"{timing.stage} {timing.elapsed_ms:.1f} ms"
        + (f" (model {timing.model_ms:.1f}, {timing.backend})" if timing.backend else "")
        for timing in answer.timings
    ]
    facts.append(f"\n{', '.join(timings)}")
    for degradation in answer.degradations:
        facts.append(f"\nleft out: {degradation.stage} ({degradation.reason})", style="not dim yellow")
    return facts


def status_tables(status: Status) -> list[Table | Text]:
    """Readiness of each part, models, catalogue and placements."""
    state = Text("ready", style="bold green") if status.ready else Text("not ready", style="bold red")
    state.append(f" · banquet {status.banquet_version}, up {status.uptime_s:.0f} s", style="not bold default")
    parts = _table("parts", ["part", "ready", "detail"])
    for part in status.parts:
        parts.add_row(part.part, _yes(ready=part.ready), part.detail)
    models = _table(f"release {status.release.version or 'none'}", ["model", "ready", "backend"])
    for model in status.release.models:
        models.add_row(model.model, _yes(ready=model.ready), model.backend)
    catalogue = _table(f"catalogue {status.catalogue.version or 'none'}", ["items", "age", "columns"])
    catalogue.add_row(f"{status.catalogue.items:,}", f"{status.catalogue.age_s:.0f} s", ", ".join(status.catalogue.columns))
    placements = _table("placements", ["placement", "sources", "filters", "scorer", "selector"])
    for p in status.placements:
        placements.add_row(p.placement, ", ".join(p.sources), ", ".join(p.filters), p.scorer, p.selector)
    releases = _table("releases", ["release", "state", "users", "answers", "errors", "degraded"])
    for r in status.releases:
        releases.add_row(r.version, r.state, f"{r.percent:g} %", *(f"{count:,}" for count in (r.answers, r.errors, r.degraded)))
    return [state, parts, models, releases, catalogue, placements]


def _table(heading: str, columns: Iterable[str]) -> Table:
    return Table(*columns, title=heading, title_justify="left")


def _yes(*, ready: bool) -> Text:
    return Text("yes", style="green") if ready else Text("no", style="red")


def _attributes(item: Recommendation) -> dict[str, str]:
    return dict(item.explanation.attributes) if item.explanation else {}


def _explanation(item: Recommendation) -> list[str]:
    if item.explanation is None:
        return []
    scores = {"source score": item.explanation.source_score, "ranking score": item.explanation.ranking_score}
    attributes = [f"{name}={value}" for name, value in sorted(_attributes(item).items()) if value and name != TITLE]
    return [*(f"{name} {score:.4f}" for name, score in scores.items() if score is not None), *attributes]
