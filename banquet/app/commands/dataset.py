"""`banquet dataset`: training data out of what was served, and how it differs from Feast's."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from banquet.training.served.skew import FeatureSkew

app = typer.Typer(no_args_is_help=True, help="Make training data out of what was served.")

Served = Annotated[Path, typer.Option("--served", help="Folder of the served log.")]
Settings = Annotated[
    Path | None, typer.Option("--settings", help="YAML file of settings: are users in the log under pseudonyms?")
]
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
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Join the served log with events into a training set.

    The training set is a dataset (that of --data with the events) and `served.parquet` beside it: one row per item that was
    shown, with the features the models got, position, propensity and what became of it. `banquet train --data OUT` takes both.
    """
    from datetime import UTC

    from banquet.app.privacy import pseudonyms_in_force
    from banquet.app.recorded import read_recorded
    from banquet.app.settings import read_settings
    from banquet.stages.sinks.served_files import served_files
    from banquet.training.datasets.dataset import Dataset
    from banquet.training.served.build import build as run
    from banquet.training.served.labels import Windows

    windows = Windows(click_minutes * 60, conversion_hours * 3600)
    last = None if until is None else until.replace(tzinfo=until.tzinfo or UTC)
    pseudonyms = pseudonyms_in_force(read_settings(settings))
    name_user = None if pseudonyms is None else pseudonyms.of
    built = run(served_files(served), read_recorded(events), Dataset.load(data), out, windows, last, name_user)
    if as_json:
        typer.echo(json.dumps({"folder": str(out), **asdict(built)}))
        return
    typer.echo(
        f"{built.answers:,} answers showed {built.shown:,} items, {built.taken:,} were taken; in {out}/served.parquet.\n"
        f"Left out: {built.unripe:,} items whose windows are still open, {built.damaged:,} unreadable files."
    )
    _print_positions(built.positions)


@app.command()
def skew(
    served: Served = SERVED,
    repo: Annotated[Path, typer.Option(help="The Feast repo's folder.", envvar="BANQUET_FEATURE_REPO")] = Path("feature_repo"),
    yaml: Annotated[Path | None, typer.Option(help="Its feature_store.yaml, when it is not the folder's own.")] = None,
    catalogue: Annotated[Path, typer.Option(help="The catalogue folder.", envvar="BANQUET_CATALOGUE_DIR")] = Path(
        "var/catalogue"
    ),
    sample: Annotated[int, typer.Option(min=1, help="How many answers to compare, chosen at random.")] = 1_000,
    data: Annotated[Path, typer.Option("--data", help="The dataset whose users pseudonyms stand for.")] = Path("var/data"),
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Compare what the models got with what Feast would train on: its historical features at the very same times.

    Lists the features that differ, worst first, with examples. Item features are compared while the answer's catalogue is there.
    """
    from banquet.app.privacy import pseudonyms_in_force
    from banquet.app.settings import read_settings
    from banquet.app.skew import find_skew
    from banquet.features.project.repo import FeatureRepo
    from banquet.training.datasets.dataset import Dataset

    pseudonyms = pseudonyms_in_force(read_settings(settings))
    users = [] if pseudonyms is None else Dataset.load(data).users["user_id"].to_pylist()
    names = {} if pseudonyms is None else {pseudonyms.of(user): user for user in users}
    found = find_skew(
        served, FeatureRepo.open(repo, yaml), catalogue, sample=sample, real_name=lambda name: str(names.get(name, name))
    )
    if as_json:
        typer.echo(json.dumps(asdict(found), default=str))
        return
    skewed = [feature for feature in found.features if feature.skewed]
    typer.echo(f"{found.answers:,} answers compared; {found.unread:,} had no user's row, {found.gone:,} no catalogue any more.")
    typer.echo(f"{len(skewed)} of {len(found.features)} features differ.")
    if skewed:
        _print_skew(skewed)


def _print_skew(skewed: list[FeatureSkew]) -> None:
    from rich.table import Table

    from banquet.app.tables import show

    table = Table("of", title="Features that differ", title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("feature", no_wrap=True)
    for heading in ("compared", "different", "only served", "only in Feast"):
        table.add_column(heading, justify="right")
    for each in skewed:
        counts = (each.compared, each.different, each.only_served, each.only_historical)
        table.add_row(each.entity, each.feature, *(f"{count:,}" for count in counts))
    show(table)
    for each in skewed:
        example = each.examples[0]
        typer.echo(f"{each.feature} of {each.entity} {example.id} at {example.at}:")
        typer.echo(f"  served {example.served!r:.60}")
        typer.echo(f"  Feast  {example.historical!r:.60}")


def _print_positions(positions: list[dict[str, int]], most: int = 20) -> None:
    from rich.table import Table

    from banquet.app.tables import show

    table = Table("position", "shown", "taken", "share", title="Taken by position", title_justify="left")
    for each in positions[:most]:
        share = each["taken"] / each["shown"]
        table.add_row(str(each["position"]), f"{each['shown']:,}", f"{each['taken']:,}", f"{share:.2%}")
    show(table)
