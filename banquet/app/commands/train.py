"""`banquet train`: from a dataset to a release, and how good it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def train(
    data: Annotated[Path, typer.Option(help="The dataset's folder.")] = Path("var/data"),
    served: Annotated[
        Path | None,
        typer.Option(help="Table of what was served (`banquet dataset build`); by default the dataset's own, if it has one."),
    ] = None,
    preset: Annotated[str, typer.Option(help="How long to train: `quick` (minutes) or `full` (an hour).")] = "quick",
    seed: Annotated[int, typer.Option(min=0, help="The same seed and data make the same models.")] = 7,
    out: Annotated[Path, typer.Option(help="Folder of the releases; the new one is put in force.")] = Path("var/releases"),
    threads: Annotated[int | None, typer.Option(min=1, help="Threads to compute with; by default one per core.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Train the retrieval and ranking models, measure them beside their baselines and write a release.

    A dataset made by `banquet dataset build` also has what was served: ranking then learns which of the items shown were taken.
    """
    from rich.console import Console

    from banquet.releases.manifest import load
    from banquet.training.report import metrics_tables
    from banquet.training.train import train as run

    folder = run(data, out, preset, seed, threads, Console(stderr=as_json), served)
    metrics = load(folder).metrics
    if as_json:
        typer.echo(json.dumps({"release": folder.name, "folder": str(folder), "metrics": metrics}))
        return
    console = Console()
    for table in metrics_tables(metrics):
        console.print(table)
    console.print(f"release {folder.name} is in force in {out}")
