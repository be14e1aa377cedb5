"""`banquet features`: from a dataset to a served Feast store, and what is in it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from banquet.app.tables import plain_console, show

app = typer.Typer(no_args_is_help=True, help="Prepare and look at the features in Feast's stores.")

Repo = Annotated[Path, typer.Option(help="The Feast repo's folder.", envvar="BANQUET_FEATURE_REPO")]
Yaml = Annotated[Path | None, typer.Option(help="Its feature_store.yaml, when it is not the folder's own.")]
Catalogue = Annotated[Path, typer.Option(help="The catalogue folder.", envvar="BANQUET_CATALOGUE_DIR")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]

CAPTION = (
    "newest: its last event; materialized: up to then; unpushed: rows that wait;\n"
    "defaults: the schema's values that stood in, as running gateways count them"
)
REPO, CATALOGUE = Path("feature_repo"), Path("var/catalogue")


@app.command()
def prepare(
    dataset: Annotated[Path, typer.Option("--data", help="The dataset's folder.")] = Path("var/data"),
    repo: Repo = REPO,
    yaml: Yaml = None,
    catalogue: Catalogue = CATALOGUE,
    force: Annotated[bool, typer.Option(help="Do it again although nothing changed.")] = False,
    as_json: Json = False,
) -> None:
    """Load a dataset into Feast: write the parquet sources, apply the definitions, materialize. Unchanged data is left alone."""
    from banquet.features.offline.prepare import prepare as run

    with plain_console().status("preparing") as status:
        done = run(dataset, repo, catalogue, yaml_file=yaml, force=force, say=lambda step: status.update(Text(step)))
    if as_json:
        typer.echo(json.dumps(asdict(done)))
        return
    table = Table("view", "rows", title=f"Features of {done.dataset}" + ("" if done.redone else " (already there)"))
    for view, rows in done.rows.items():
        table.add_row(view, f"{rows:,}")
    show(table)


@app.command("build-catalogue")
def build_catalogue(repo: Repo = REPO, yaml: Yaml = None, catalogue: Catalogue = CATALOGUE, as_json: Json = False) -> None:
    """Build the catalogue from the online store once (a running `banquet up` does so by itself)."""
    from banquet.features.catalogue.catalogue_builder import CatalogueBuilder
    from banquet.features.catalogue.item_store import open_items
    from banquet.features.project.layout_keeper import LayoutKeeper
    from banquet.features.project.repo import FeatureRepo

    described = FeatureRepo.open(repo, yaml)
    layouts, items = LayoutKeeper(described, catalogue), open_items(described)
    try:
        built = CatalogueBuilder(items, catalogue).build(layouts.newest())
    finally:
        items.close()
        layouts.close()
    if as_json:
        typer.echo(json.dumps(asdict(built)))
        return
    table = Table("version", "items", "columns", "scan", "publish", title="Catalogue")
    times = (f"{built.scan_ms:.0f} ms", f"{built.publish_ms:.0f} ms")
    table.add_row(built.version, f"{built.items:,}", str(built.columns), *times)
    show(table)


@app.command()
def user(
    user_id: Annotated[str, typer.Argument(help="Whom to read.")],
    repo: Repo = REPO,
    yaml: Yaml = None,
    catalogue: Catalogue = CATALOGUE,
    context: Annotated[list[str] | None, typer.Option(help="name=value: a part of a key, or data for on-demand views.")] = None,
    strict: Annotated[bool, typer.Option(help="Leave out what is older than its view's ttl.")] = False,
    as_json: Json = False,
) -> None:
    """Read a user from the online store as the gateway does, and how old each view's values are."""
    from banquet.features.users.look import look_up

    found = look_up(repo, yaml, catalogue, user_id, context or [], strict=strict)
    if as_json:
        typer.echo(json.dumps(asdict(found), default=str))
        return
    show(f"{user_id}: {'known' if found.found else 'unknown'}{''.join(f', {note}' for note in found.notes)}")
    table = Table("view", "status", "age")
    for view, word in found.statuses.items():
        table.add_row(view, word, _ago(found.age_s.get(view)))
    show(table)
    table = Table("feature", "value")
    table.add_row("history", ": ".join(filter(None, (f"{len(found.history)} items", ", ".join(found.history[:5])))))
    for name, value in found.values.items():
        table.add_row(name, _readable(value))
    show(table)


@app.command()
def status(repo: Repo = REPO, yaml: Yaml = None, catalogue: Catalogue = CATALOGUE, as_json: Json = False) -> None:
    """Show what the store holds view by view, how far the event consumer is behind, and the catalogue in force.

    The event log and the notes of running gateways are looked for beside the catalogue.
    """
    from banquet.app.feature_status import defaults_used, known_lag, stored_views, view_statuses
    from banquet.features.problems import in_words, noted_problems
    from banquet.features.project.repo import FeatureRepo
    from banquet.features.status import status_of

    described = FeatureRepo.open(repo, yaml)
    found = status_of(described, catalogue)
    lag = known_lag(catalogue.parent / "feedback")
    views = view_statuses(stored_views(described, catalogue), catalogue, lag, defaults_used(catalogue.parent / "run"))
    problems = noted_problems(catalogue)
    if as_json:
        more = {"views": [asdict(view) for view in views], "lag": asdict(lag) if lag else None, "problems": problems}
        typer.echo(json.dumps(asdict(found) | more))
        return
    console = plain_console()
    if problems:
        console.print(in_words(problems), style="red", soft_wrap=True)
    console.print(f"store    {found.store}")
    console.print(f"dataset  {found.dataset or 'none; run `banquet features prepare`'}")
    console.print(f"events   {'unknown' if lag is None else f'{lag.unread_bytes:,} bytes unread'}")
    table = Table(title="Views of the online store", caption=CAPTION, caption_justify="left", padding=(0, 1, 0, 0))
    table.add_column("view", no_wrap=True)
    for header in ("rows", "missing", "newest", "materialized", "unpushed", "defaults"):
        table.add_column(header)
    for view in views:
        times = (_ago(view.age_s), _ago(view.materialized_s))
        table.add_row(view.view, f"{view.rows:,}", f"{view.missing:.1%}", *times, f"{view.unpushed:,}", _count(view.defaults))
    if views:
        show(table)
    if not found.version:
        console.print("catalogue  none; run `banquet features build-catalogue`")
        return
    console.print(f"catalogue {found.version}, {found.items:,} items, confirmed {_ago(found.age_s)}")
    table = Table("column", "view", "kind", "missing", title="Catalogue columns")
    for column in found.columns:
        table.add_row(column.name, column.view, column.kind, f"{column.missing:.1%}")
    show(table)


def _ago(age_s: float | None) -> str:
    if age_s is None:
        return "never"
    for unit, length_s in (("y", 365 * 86_400), ("d", 86_400), ("h", 3_600), ("min", 60)):
        if age_s >= 2 * length_s:
            return f"{age_s / length_s:.0f} {unit} ago"
    return f"{age_s:.1f} s ago"


def _readable(value: object) -> str:
    """A feature's value; of a 32-bit float the shortest decimal that is it, 4.6 and not 4.599999904632568."""
    import numpy as np

    if isinstance(value, float) and value == np.float32(value):
        return str(np.float32(value))
    return "-" if value is None else str(value)


def _count(number: int | None) -> str:
    """Only a running gateway knows how often."""
    return "-" if number is None else f"{number:,}"
