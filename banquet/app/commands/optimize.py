"""`banquet release optimize`: a smaller or faster release out of a trained one, and what that costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def optimize(
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="By default the release in force.")] = None,
    quantize: Annotated[
        str | None, typer.Option(metavar="int8|bf16|fp16", help="Store weights and tables in fewer bits; quality hardly changes.")
    ] = None,
    prune: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Take this share of the ranker's dense parameters out, such as 0.7.")
    ] = None,
    distill: Annotated[
        bool, typer.Option("--distill", help="Teach a new, much smaller ranker to answer as the old one.")
    ] = False,
    epochs: Annotated[int, typer.Option(min=1, help="How often a pruned or new ranker sees the data.")] = 1,
    data: Annotated[Path, typer.Option(help="The dataset that the release was trained on.")] = Path("var/data"),
    releases: Annotated[Path, typer.Option("--releases", help="Folder of the releases; the new one is not put in force.")] = Path(
        "var/releases"
    ),
    seed: Annotated[int, typer.Option(min=0, help="The same seed and data make the same models.")] = 7,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads to compute with; by default one per core.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Make a new release that is smaller or faster, and show its size, speed and quality beside the original's.

    With more than one of `--distill`, `--prune` and `--quantize`, they are done in this order.
    """
    from banquet.app.tables import plain_console, show
    from banquet.releases.manifest import load
    from banquet.training.optimize.optimize import Wanted
    from banquet.training.optimize.optimize import optimize as run
    from banquet.training.report import optimized_table

    wanted = Wanted(quantize, prune, distill, epochs)
    folder = run(data, releases, version, wanted, seed=seed, threads=threads, console=plain_console(stderr=as_json))
    made = load(folder)
    if as_json:
        told = {"release": folder.name, "folder": str(folder), "made_from": made.made_from, "metrics": made.metrics}
        typer.echo(json.dumps(told))
        return
    made_from = made.made_from["release"]
    show(optimized_table(made.metrics), f"release {folder.name}, made from {made_from}, lies in {releases}; it is not in force")
