"""`banquet dataset`: training data out of what was served, and how it differs from Feast's."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Make training data out of what was served.")

Served = Annotated[Path, typer.Option("--served", help="Folder of the served log.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
SERVED = Path("var/served")


@app.command()
def build(
    served: Served = SERVED,
    events: Annotated[
        Path, typer.Option("--events", help="Folder of the event log, or a parquet export of the same events.")
    ] = Path("var/feedback/log"),
    data: Annotated[Path, typer.Option("--data", help="The dataset that has users, items and what was before.")] = Path(
        "var/data"
    ),
    out: Annotated[Path, typer.Option("--out", help="Folder of the training set; an older one there is replaced.")] = Path(
        "var/trainset"
    ),
    click_minutes: Annotated[
        float, typer.Option("--click-minutes", min=0, help="Clicks count for an answer this long after it.")
    ] = 30.0,
    conversion_hours: Annotated[
        float, typer.Option("--conversion-hours", min=0, help="Ratings and purchases count for an answer this long after it.")
    ] = 24.0,
    until: Annotated[
        datetime | None, typer.Option("--until", help="When the events end (UTC), by default now; later windows are left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Join the served log with events into a training set.

    The training set is a dataset (that of --data with the events) and `served.parquet` beside it: one row per item that was
    shown, with the features the models got, position, propensity and what became of it. `banquet train --data OUT` takes both.
    """
    from datetime import UTC

    from banquet.app.recorded import read_recorded
    from banquet.stages.sinks.served_files import served_files
    from banquet.training.datasets.dataset import Dataset
    from banquet.training.served.build import build as run
    from banquet.training.served.labels import Windows

    windows = Windows(click_minutes * 60, conversion_hours * 3600)
    last = None if until is None else until.replace(tzinfo=until.tzinfo or UTC)
    built = run(served_files(served), read_recorded(events), Dataset.load(data), out, windows, last)
    if as_json:
        typer.echo(json.dumps({"folder": str(out), **asdict(built)}))
        return
    typer.echo(
        f"{built.answers:,} answers showed {built.shown:,} items, {built.taken:,} were taken; in {out}/served.parquet.\n"
        f"Left out: {built.unripe:,} items whose windows are still open, {built.damaged:,} unreadable files."
    )
    _print_positions(built.positions)


def _print_positions(positions: list[dict[str, int]], most: int = 20) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("position", "shown", "taken", "share", title="Taken by position", title_justify="left")
    for each in positions[:most]:
        share = each["taken"] / each["shown"]
        table.add_row(str(each["position"]), f"{each['shown']:,}", f"{each['taken']:,}", f"{share:.2%}")
    Console().print(table)
