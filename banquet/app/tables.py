"""What a person reads: answers and status as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from banquet_client import Answer, Recommendation, Status

TITLE = "title"


def show(*parts: Table | Text) -> None:
    """Prints to standard output; a file or pipe gets the same without colours."""
    console = Console()
    for part in parts:
        console.print(part)


def answer_table(answer: Answer, heading: str, *, explain: bool) -> Table:
    """Items best first, with their titles when the answer's explanations have them."""
    titled = any(TITLE in _attributes(item) for item in answer.items)
    table = Table(title=heading, title_justify="left", title_style="bold")
    table.add_column("#", justify="right", style="dim")
    table.add_column("item")
    if titled:
        table.add_column(TITLE)
    table.add_column("score", justify="right")
    table.add_column("source")
    if explain:
        table.add_column("source score", justify="right")
        table.add_column("ranking score", justify="right")
        table.add_column("attributes", overflow="fold")
    for place, item in enumerate(answer.items, start=1):
        cells = [
            str(place),
            item.item_id,
            *([_attributes(item).get(TITLE, "")] if titled else []),
            f"{item.score:.4f}",
            item.source,
        ]
        table.add_row(*_texts([*cells, *(_explanation(item) if explain else [])]))
    return table


def answer_facts(answer: Answer) -> Text:
    """The request id, what answered, and what was left out."""
    facts = Text(f"request {answer.request_id}", style="dim")
    facts.append(
        f" · release {answer.release or 'none'} · catalogue {answer.catalogue_version} ({answer.catalogue_age_s:.0f} s old)"
    )
    for timing in answer.timings:
        model = f" (model {timing.model_ms:.1f} ms, {timing.backend})" if timing.backend else ""
        facts.append(f"\n{timing.stage}: {timing.elapsed_ms:.1f} ms{model}")
    for degradation in answer.degradations:
        facts.append(f"\nleft out: {degradation.stage} ({degradation.reason})", style="not dim yellow")
    return facts


def status_tables(status: Status) -> list[Table | Text]:
    """Readiness of each part, models, catalogue and placements."""
    state = Text("ready", style="bold green") if status.ready else Text("not ready", style="bold red")
    state.append(f" · banquet {status.banquet_version}, up {status.uptime_s:.0f} s", style="not bold default")
    parts = _table("parts", ["part", "ready", "detail"])
    for part in status.parts:
        parts.add_row(Text(part.part), _yes(ready=part.ready), Text(part.detail))
    models = _table(f"release {status.release.version or 'none'}", ["model", "ready", "backend"])
    for model in status.release.models:
        models.add_row(Text(model.model), _yes(ready=model.ready), Text(model.backend))
    catalogue = _table(f"catalogue {status.catalogue.version or 'none'}", ["items", "age", "columns"])
    catalogue.add_row(str(status.catalogue.items), f"{status.catalogue.age_s:.0f} s", Text(", ".join(status.catalogue.columns)))
    placements = _table("placements", ["placement", "sources", "filters", "scorer", "selector"])
    for p in status.placements:
        placements.add_row(*_texts([p.placement, ", ".join(p.sources), ", ".join(p.filters), p.scorer, p.selector]))
    releases = _table("releases", ["release", "state", "users", "answers", "errors", "degraded"])
    for r in status.releases:
        releases.add_row(*_texts([r.version, r.state, f"{r.percent:g} %", *map(str, (r.answers, r.errors, r.degraded))]))
    return [state, parts, models, releases, catalogue, placements]


def _table(heading: str, columns: list[str]) -> Table:
    return Table(*columns, title=Text(heading), title_justify="left", title_style="bold")


def _texts(cells: Iterable[str]) -> list[Text]:
    """Ids and titles as they are: a `[` in one is no markup."""
    return [Text(cell) for cell in cells]


def _yes(*, ready: bool) -> Text:
    return Text("yes", style="green") if ready else Text("no", style="red")


def _attributes(item: Recommendation) -> dict[str, str]:
    return dict(item.explanation.attributes) if item.explanation else {}


def _explanation(item: Recommendation) -> list[str]:
    if item.explanation is None:
        return ["", "", ""]
    ranking = item.explanation.ranking_score
    attributes = (f"{name}={value}" for name, value in sorted(_attributes(item).items()) if name != TITLE)
    return [f"{item.explanation.source_score:.4f}", "" if ranking is None else f"{ranking:.4f}", ", ".join(attributes)]
