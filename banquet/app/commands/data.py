"""`banquet data`: bring interactions, users and items into the form that everything else reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from banquet.training.datasets.dataset import Dataset

app = typer.Typer(no_args_is_help=True, help="Import, download, make or show a dataset.")

OWNER = "https://files.grouplens.org/datasets/movielens"
Out = Annotated[
    Path, typer.Option("--out", help="Folder of the dataset; an older dataset there is replaced once the new is complete.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Name = Annotated[str | None, typer.Option("--name", help="The dataset's name; by default that of what was read.")]
DATA = Path("var/data")


@app.command("import")
def import_(
    path: Annotated[
        Path,
        typer.Argument(
            help="A folder, a table (.parquet, .csv, .tsv, .jsonl, .ndjson; texts also with .gz, .bz2, .zst), a .zip, or `user"
            " item` lines (.txt.gz)."
        ),
    ],
    out: Out = DATA,
    name: Name = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="NAME=COLUMN,...", help="What your columns are called, such as user_id=visitor,item_id=sku."
        ),
    ] = None,
    event_types: Annotated[
        list[str] | None,
        typer.Option(
            "--event-types", metavar="YOURS=OURS,...", help="What your event types stand for: view=click,refund=ignore."
        ),
    ] = None,
    lists: Annotated[
        str,
        typer.Option(
            "--lists", metavar="COLUMN,...", help="Text columns with several categories, joined by '|' or written as JSON lists."
        ),
    ] = "",
    list_separator: Annotated[
        str, typer.Option("--list-separator", metavar="TEXT", help="What joins the categories of --lists, such as '||'.")
    ] = "|",
    leave_out: Annotated[
        str, typer.Option("--leave-out", metavar="COLUMN,...", help="Columns of users and items that are no features.")
    ] = "",
    missing: Annotated[
        str, typer.Option("--missing", metavar="WORD,...", help="Texts that stand for a missing value, beside empty ones.")
    ] = "",
    decimal: Annotated[str, typer.Option("--decimal", metavar="[.|,]", help="The decimal point of numbers in text files.")] = ".",
    encoding: Annotated[
        str | None,
        typer.Option("--encoding", help="Of text files that are not UTF-8 and have no mark, such as latin-1."),
    ] = None,
    drop_duplicates: Annotated[
        bool, typer.Option("--drop-duplicates", help="Leave out events that are the same as an earlier one in all columns.")
    ] = False,
    drop_unknown_items: Annotated[
        bool, typer.Option("--drop-unknown-items", help="Leave out events of items that the table of items lacks.")
    ] = False,
    users: Annotated[Path | None, typer.Option("--users", help="Table of users: user_id and features.")] = None,
    items: Annotated[Path | None, typer.Option("--items", help="Table of items: item_id, title, available and features.")] = None,
    as_json: Json = False,
) -> None:
    """Import MovieLens (100K, 1M, 10M, and the CSV form of 20M, 25M, 32M and latest), or your own interactions, users and items.

    Interactions need user_id, item_id and event_time (ISO 8601, unix time or YYYYMMDD); event_type (impression, click, rating,
    purchase), value (stars or amount) and event_id are optional. A folder holds tables named interactions, users and items, each
    a file or a folder of part files as Spark writes them; or it is such a folder of part files.
    """
    from banquet.training.datasets.dataset import refuse_to_replace
    from banquet.training.datasets.dropping import Dropping
    from banquet.training.datasets.importing import Reading, import_data
    from banquet.training.datasets.source import TextFormat
    from banquet.training.datasets.tabular import Naming, parse_event_types, parse_names

    refuse_to_replace(out)
    reading = Reading(
        Naming(parse_names(map_ or ()), _columns(lists), _columns(leave_out), parse_event_types(event_types or ())),
        TextFormat(encoding, decimal, _columns(missing), list_separator).checked(),
        Dropping(drop_duplicates, drop_unknown_items),
    )
    _keep(import_data(path, name=name, users=users, items=items, reading=reading, say=_note), out, as_json=as_json)


@app.command()
def download(
    dataset: Annotated[str, typer.Argument(metavar="[ml-100k|ml-1m]", help="Which MovieLens dataset.")],
    out: Out = DATA,
    archives: Annotated[Path, typer.Option("--archives", help="Folder that keeps the downloaded archive.")] = Path(
        "var/downloads"
    ),
    mirror: Annotated[
        str, typer.Option("--mirror", envvar="BANQUET_DATA_MIRROR", help="URL of the folder with the archives.")
    ] = OWNER,
    as_json: Json = False,
) -> None:
    """Download MovieLens from GroupLens and import it; a download that was cut off goes on where it stopped.

    GroupLens allows research use and forbids redistribution; read the README in the archive.
    """
    from banquet.core.errors import BadSettings
    from banquet.training.datasets.dataset import refuse_to_replace
    from banquet.training.datasets.download import ARCHIVES
    from banquet.training.datasets.importing import import_data

    if dataset not in ARCHIVES:
        raise BadSettings(f"no dataset {dataset!r} to download; choose one of {', '.join(ARCHIVES)}")
    refuse_to_replace(out)
    _keep(import_data(_fetch(dataset, archives, mirror), name=dataset), out, as_json=as_json)


@app.command()
def synthetic(
    users: Annotated[int, typer.Option("--users", help="How many users.")] = 2_000,
    items: Annotated[int, typer.Option("--items", help="How many items.")] = 1_000,
    events: Annotated[int, typer.Option("--events", help="How many interactions.")] = 100_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed makes the same rows.")] = 7,
    out: Out = DATA,
    as_json: Json = False,
) -> None:
    """Make data with planted tastes: a model that learns beats popularity on it. Needs no network."""
    from banquet.training.datasets.dataset import refuse_to_replace
    from banquet.training.datasets.synthetic import synthesize

    refuse_to_replace(out)
    _keep(synthesize(users, items, events, seed), out, as_json=as_json)


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(help="Folder of the dataset.")] = DATA,
    rows: Annotated[int, typer.Option("--rows", min=1, max=100, help="How many of the most popular items to list.")] = 10,
    as_json: Json = False,
) -> None:
    """Show what a dataset holds: sizes, features and the most popular items."""
    from banquet.training.datasets.dataset import Dataset
    from banquet.training.datasets.summary import most_popular

    dataset = Dataset.load(folder)
    popular = most_popular(dataset, rows)
    if as_json:
        typer.echo(json.dumps({**dataset.describe(), "most_popular": popular}))
        return
    _describe(dataset, folder)
    _print_table("Most popular items", popular)


def _columns(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _note(text: str) -> None:
    typer.echo(f"note: {text}", err=True)


def _keep(dataset: Dataset, out: Path, *, as_json: bool) -> None:
    dataset.write(out)
    if as_json:
        typer.echo(json.dumps({"folder": str(out), **dataset.describe()}))
    else:
        _describe(dataset, out)


def _describe(dataset: Dataset, folder: Path) -> None:
    from rich.table import Table

    from banquet.app.tables import show

    facts = dataset.describe()
    table = Table(title=f"{dataset.name} in {folder}", title_justify="left", show_header=False)
    for key in ("users", "items", "interactions"):
        table.add_row(key, f"{facts[key]:,}")
    table.add_row("user features", ", ".join(dataset.user_features) or "none")
    table.add_row("item features", ", ".join(dataset.item_features) or "none")
    table.add_row("times", "real" if dataset.time_is_real else "made up; only each user's order is real")
    show(table)


def _print_table(title: str, rows: list[dict[str, str | int]]) -> None:
    from rich.table import Table

    from banquet.app.tables import show

    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    show(table)


def _fetch(dataset: str, folder: Path, mirror: str) -> Path:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from banquet.app.tables import plain_console
    from banquet.training.datasets.download import ARCHIVES
    from banquet.training.datasets.download import download as fetch

    archive = ARCHIVES[dataset]
    columns = (
        TextColumn(archive.file, markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=plain_console(stderr=True)) as bar:
        task = bar.add_task(archive.file, total=None)
        return fetch(archive, folder, mirror=mirror, progress=lambda done, total: bar.update(task, completed=done, total=total))
