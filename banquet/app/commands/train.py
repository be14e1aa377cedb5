"""`banquet train`: from a dataset to a release, and how good it is."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from banquet.releases.manifest import Manifest
    from banquet.training.served_features import ServedFeatures


def train(
    data: Annotated[Path, typer.Option(help="The dataset's folder.")] = Path("var/data"),
    served: Annotated[
        Path | None,
        typer.Option(help="Table of what was served (`banquet dataset build`); by default the dataset's own, if it has one."),
    ] = None,
    repo: Annotated[
        Path | None,
        typer.Option(
            help="Your own Feast repo to serve from: the models take no features that it does not have. By default all."
        ),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(
            help="Python file with models of your own, `retrieval(data)` and/or `ranking(data)`; see docs/models.md. It is run."
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="How long to train: `quick` (minutes) or `full` (an hour).")] = "quick",
    seed: Annotated[int, typer.Option(min=0, help="The same seed and data make the same models.")] = 7,
    out: Annotated[
        Path, typer.Option(help="Folder of the releases; the new one is put in force unless one is being served.")
    ] = Path("var/releases"),
    threads: Annotated[int | None, typer.Option(min=1, help="Threads to compute with; by default one per core.")] = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="After measuring, train once more on everything, and put that in force.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Train the retrieval and ranking models, measure them beside their baselines and write a release.

    A dataset made by `banquet dataset build` also has what was served: ranking then learns which of the items shown were taken.
    """
    from banquet.app.evaluation.after_training import evaluate_new
    from banquet.app.evaluation.tables import evaluation_table, warnings_of
    from banquet.app.placements import read_placements
    from banquet.app.settings import read_settings
    from banquet.app.tables import plain_console, show
    from banquet.releases import evaluations, registry
    from banquet.releases.manifest import load
    from banquet.training.progress import Progress
    from banquet.training.report import metrics_tables
    from banquet.training.train import TrainingOrder
    from banquet.training.train import refit as train_again
    from banquet.training.train import train as run

    features, console = None if repo is None else _features_of(repo), plain_console(stderr=as_json)
    # Before the training: a file that cannot be read must not be found out after it.
    placements = read_placements(read_settings().placements_file)
    order = TrainingOrder(data, out, preset, seed, threads, console, served, features, models)
    measured = run(order)
    evaluation = evaluate_new(data, out, measured.name, seed, placements, Progress(console))
    folder = measured
    if refit:
        folder = train_again(order, measured)
        evaluations.write(out, folder.name, {**evaluation, "release": folder.name, "measured_on": measured.name})
    metrics = load(folder).metrics
    if as_json:
        body = {"release": folder.name, "folder": str(folder), "metrics": metrics, "evaluation": evaluation}
        typer.echo(json.dumps(body))
        return
    warnings = [*left_out_of(load(folder)), *(f"warning: {warning}" for warning in warnings_of(evaluation))]
    show(*metrics_tables(metrics), evaluation_table(evaluation, segments=False), *warnings)
    if refit:
        show(f"the numbers are of release {measured.name}; {folder.name} is the same, trained on everything")
    if registry.current(out) == folder.name:
        show(f"release {folder.name} is in force in {out}; banquet release build makes its archives for TorchServe")
    else:
        show(
            f"release {folder.name} is in {out}; another is being served: banquet release build --release {folder.name},",
            f"then banquet release canary {folder.name}",
        )


def left_out_of(manifest: Manifest) -> list[str]:
    """A line for what the ranking model is left out of, if anything."""
    questions = ", ".join(manifest.ranking_left_out)
    return [f"ranking made these questions worse in validation and is left out of them: {questions}"] if questions else []


def _features_of(repo: Path) -> ServedFeatures:
    """What a Feast repo serves, as its registry says now. Raises `BadSettings` when Banquet cannot serve from it."""
    from banquet.features.project.layout_keeper import LayoutKeeper
    from banquet.features.project.repo import FeatureRepo
    from banquet.training.served_features import ServedFeatures

    with TemporaryDirectory() as folder:
        layout = LayoutKeeper(FeatureRepo.open(repo), Path(folder)).current()
    user, item = (
        {view.column(name): view.features[name] for view in views for name in view.served}
        for views in (layout.users, layout.items)
    )
    return ServedFeatures(user, item)
