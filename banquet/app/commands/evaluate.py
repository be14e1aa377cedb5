"""`banquet evaluate`: what callers get from a release, beside popularity, in every way of asking."""

import json
from pathlib import Path
from typing import Annotated

import typer

from banquet.app.commands import gateway


def evaluate(
    *,
    data: Annotated[Path, typer.Option(help="The dataset's folder: its users' last items are asked for.")] = Path("var/data"),
    release: Annotated[str | None, typer.Option(metavar="VERSION", help="By default the one in force.")] = None,
    releases: Annotated[Path, typer.Option(help="Folder of the releases.")] = Path("var/releases"),
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Ask a running gateway over gRPC, as users who are made up for it and forgotten afterwards; by default the"
            " release answers in this process.",
        ),
    ] = None,
    users: Annotated[int, typer.Option(min=1, help="How many users, drawn by the seed.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same users and lists.")] = 7,
    placement: Annotated[str, typer.Option(help="The placement that is asked.")] = "home",
    page_placement: Annotated[str, typer.Option(help="The placement that shows items beside one.")] = "detail",
    category: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Item feature to filter by; by default the first list of texts, or text that items share."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the models in this process.")] = 1,
    as_json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write everything as JSON.")] = None,
) -> None:
    """Measure what callers get: every user's last item, asked for in every way that the API has.

    Whole catalogue, one among 99, filtered by category, beside a page item, similar items, users without history; short and long
    histories, popular and rare items. Beside popularity, Markov-1 and the retrieval model alone, with paired 95 % intervals.
    """
    from banquet_client import ClientError

    from banquet.app.evaluation.evaluate import EvaluationPlan, evaluate_gateway, evaluate_release, run
    from banquet.app.evaluation.tables import evaluation_table, warnings_of
    from banquet.app.placements import read_placements
    from banquet.app.settings import read_settings
    from banquet.app.tables import plain_console, show
    from banquet.training.datasets.dataset import Dataset
    from banquet.training.progress import Progress
    from banquet.wire.files import write_atomically

    plan = EvaluationPlan(users, seed, placement, page_placement, category, threads)
    dataset, placements = Dataset.load(data), read_placements(read_settings().placements_file)
    try:
        with Progress(plain_console(stderr=True)) as progress:
            body = run(
                evaluate_release(plan, dataset, releases, release, placements, progress)
                if address is None
                else evaluate_gateway(plan, dataset, releases, address, placements, progress)
            )
    except ClientError as error:
        # Below the progress, as the last line.
        gateway.fail(str(error), gateway.EXIT_FAILED)
    if as_json:
        write_atomically(as_json, json.dumps(body, indent=1).encode())
    show(evaluation_table(body, segments=True), *(f"warning: {warning}" for warning in warnings_of(body)))
