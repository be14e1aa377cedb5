"""From a dataset to a release: read, split, train both models, measure them beside their baselines, export, seal."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from banquet.core.errors import BadData
from banquet.releases import manifest, registry
from banquet.training.activity import read_log
from banquet.training.cascade import Cascade
from banquet.training.course import Course, FinishedRanking, FinishedRetrieval
from banquet.training.datasets.dataset import Dataset
from banquet.training.evaluate import require_targets
from banquet.training.export import Exported, write_release_files
from banquet.training.graphs import all_graphs, ranking_graphs, retrieval_graphs
from banquet.training.material import Material
from banquet.training.measure import measure_questions, measure_ranking, measure_retrieval
from banquet.training.models.ranking import RankerShape
from banquet.training.models.retrieval import ItemWidths
from banquet.training.own.model_file import RANKING, RETRIEVAL, ModelFile
from banquet.training.own.ranking import own_ranking
from banquet.training.own.retrieval import own_retrieval
from banquet.training.presets import preset_named
from banquet.training.progress import Progress
from banquet.training.questions import Questions
from banquet.training.schema_building import build_schema
from banquet.training.served.build import TABLE
from banquet.training.served.lessons import Lessons
from banquet.training.served.measure import measure_served
from banquet.training.served.slates import read_slates, split_slates
from banquet.training.served_features import as_served, followed
from banquet.training.split import split_by_time, split_of_everything
from banquet.training.train_ranking import RankingTrainer
from banquet.training.train_retrieval import RetrievalTrainer, Scorer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console  # noqa: TID251 - as a type

    from banquet.training.activity import Log
    from banquet.training.models.ranking import Ranker
    from banquet.training.models.retrieval import Retrieval
    from banquet.training.presets import Preset, RankingPreset
    from banquet.training.served.slates import Slates
    from banquet.training.served_features import ServedFeatures
    from banquet.training.split import Split
    from banquet.wire.schema import FeatureSchema


@dataclass(frozen=True)
class TrainingOrder:
    """What to train on, and how.

    Ranking also learns from the table `served`, by default the one that lies beside the dataset, if any. `features` are those
    that serving will have; by default all of the dataset's. `models` is a Python file of somebody's own models, trusted like any
    program; what it does not define is Banquet's.
    """

    data_dir: Path
    release_root: Path
    preset: str = "quick"
    seed: int = 7
    threads: int | None = None
    console: Console | None = None
    served: Path | None = None
    features: ServedFeatures | None = None
    models: Path | None = None


def train(order: TrainingOrder) -> Path:
    """A new release under the order's `release_root`, put in force unless another is being served; returns its folder.

    It holds the models that validation chose. They never saw the last two interactions of each user, which tell how good they
    are; histories in serving have them all the same.

    Raises `BadData`, `BadSettings`, `BadModels` or `BadRelease`; then nothing has changed.
    """
    return _train(order, measured=None)


def refit(order: TrainingOrder, measured: Path) -> Path:
    """The same once more, on everything: a new release with the metrics of the one that was `measured`; returns its folder.

    The newest tenth of each user's interactions teaches ranking, all before it retrieval. As many epochs as were planned, and
    the weights that validation chose. Raises as `train`.
    """
    return _train(order, measured=manifest.load(measured))


def _train(order: TrainingOrder, measured: manifest.Manifest | None) -> Path:
    settings, own = preset_named(order.preset), None if order.models is None else ModelFile.load(order.models)
    dataset = Dataset.load(order.data_dir)
    if order.threads:
        torch.set_num_threads(order.threads)
    torch.manual_seed(order.seed)
    rng = np.random.default_rng(order.seed)
    began = _Clock()
    if order.features is not None:
        imported, dataset = dataset, as_served(dataset, order.features)
        if order.console is not None and measured is None:
            for note in followed(imported, dataset, order.features):
                order.console.print(note, markup=False, highlight=False)
    material = _material(dataset, settings, order.features, split_by_time if measured is None else split_of_everything)
    slates = _served_slates(order.served, order.data_dir, material)
    weights = None if measured is None else _weights_of(measured)
    with registry.making(order.release_root) as folder:
        with Progress(order.console) as progress:
            course = Course(material, slates, settings, order.seed, rng, progress, folder, weights)
            retrieval = own_retrieval(course, own) if own and own.has(RETRIEVAL) else our_retrieval(course)
            began.lap("retrieval")
            ranking = own_ranking(course, own, retrieval) if own and own.has(RANKING) else our_ranking(course, retrieval)
            began.lap("ranking")
        if measured is None:
            metrics = _metrics(course, retrieval, ranking)
            began.lap("evaluation")
            left_out = [question for question, value in metrics["questions"].items() if value["left_out"]]
        else:
            metrics, left_out = {**measured.metrics, "refit_of": measured.version}, list(measured.ranking_left_out)
        metrics["seconds"] = began.laps
        described = write_release_files(folder, retrieval.exported + ranking.exported, material.schema, retrieval.vectors)
        manifest.seal(
            folder,
            schema=material.schema,
            models=described,
            metrics=metrics,
            dataset=dataset.name,
            preset=order.preset,
            seed=order.seed,
            ranking_left_out=left_out,
        )
        release = registry.add(order.release_root, folder)
    registry.put_in_force(order.release_root, release.name)
    return release


def _weights_of(measured: manifest.Manifest) -> tuple[float, float]:
    """Of clicks and likes; somebody's own ranking model has none."""
    weights = measured.metrics["ranking"]["weights"]
    return weights.get("click", 0.0), weights.get("like", 0.0)


def our_retrieval(course: Course) -> FinishedRetrieval:
    """Banquet's own retrieval model."""
    material, rng = course.material, course.rng
    trainer = RetrievalTrainer(material.log, material.split, material.items, course.preset, rng)
    model = trainer.fit(item_widths(material.schema), course.progress)
    scorer = Scorer(material.log, material.items, model, course.preset.history_length)
    vectors = scorer.vectors.numpy()[np.flatnonzero(material.inputs.index > 0)]
    graphs = retrieval_graphs(model, material.schema, material.inputs, rng)
    return FinishedRetrieval(scorer, vectors, Exported.of(course.folder, graphs, material.schema))


def our_ranking(course: Course, retrieval: FinishedRetrieval) -> FinishedRanking:
    """Banquet's own ranking model, on top of any retrieval."""
    material, rng, scorer = course.material, course.rng, retrieval.scorer
    moments, settings = material.moments(), course.preset.ranking
    lessons = None if course.slates is None else Lessons(moments, scorer, course.slates[0], course.slates[1], rng)
    trainer = RankingTrainer(moments, material.split, scorer, course.preset, rng, lessons, weights=course.weights)
    ranker = trainer.fit(ranker_shape(material.schema, settings), course.progress)
    cascade = Cascade(moments, scorer, ranker)
    graphs = ranking_graphs(ranker, material.schema, material.inputs, rng)
    return FinishedRanking(cascade, cascade.of_slates, Exported.of(course.folder, graphs, material.schema))


def _material(
    dataset: Dataset, preset: Preset, features: ServedFeatures | None, split_of: Callable[[Log], Split] = split_by_time
) -> Material:
    log = read_log(dataset)
    split = split_of(log)
    require_targets(dataset.name, log, split_by_time(log))
    return Material.of(dataset, log, split, build_schema(dataset, log, split, preset.history_length, features))


def _metrics(course: Course, retrieval: FinishedRetrieval, ranking: FinishedRanking) -> dict[str, Any]:
    """Both models beside their baselines; and on what was shown, if anything was."""
    log, split = course.material.log, course.material.split
    questions = Questions(log, split, retrieval.scorer, course.material.items, course.preset.ranking.pool, course.seed)
    metrics: dict[str, Any] = {
        "retrieval": measure_retrieval(log, split, retrieval.scorer),
        "ranking": measure_ranking(ranking.ranking, questions, course.rng),
        "questions": measure_questions(ranking.ranking, questions, course.rng),
        "epochs": course.progress.notes,
    }
    if course.slates:
        metrics["served"] = measure_served(log, ranking.of_slates, course.slates)
    return metrics


def _served_slates(served: Path | None, data_dir: Path, material: Material) -> tuple[Slates, Slates, Slates] | None:
    """From the table asked for, which must tell something, or from the dataset's own, if it has one."""
    own = data_dir / TABLE
    slates = read_slates(served or own, material.dataset, material.schema) if served or own.is_file() else None
    if served and slates is None:
        raise BadData(f"{served}: no answer in which some items were taken and others not; serve and record more events")
    return None if slates is None else split_slates(slates, material.dataset, material.log, material.split)


def write_models(
    folder: Path,
    material: Material,
    retrieval: Retrieval,
    ranker: Ranker,
    rng: np.random.Generator,
    finish: Callable[[nn.Module], object] = nn.Module.eval,
) -> dict[str, dict[str, Any]]:
    """All files of a release but its manifest; returns the manifest's `models`. `finish` is done to each graph first."""
    with torch.no_grad():
        vectors = material.items.vectors(retrieval.items).numpy()
    known = vectors[np.flatnonzero(material.inputs.index > 0)]
    graphs = all_graphs(retrieval, ranker, material.schema, material.inputs, rng)
    for graph in graphs:
        finish(graph.module)
    return write_release_files(folder, Exported.of(folder, graphs, material.schema), material.schema, known)


def item_widths(schema: FeatureSchema) -> ItemWidths:
    """Of the inputs that do not change with time; the activity is not among them."""
    profile = [feature for feature in schema.item if feature.view == "item_profile"]
    return ItemWidths(
        len(schema.item_ids),
        tuple(len(f.vocabulary) + 1 for f in profile if f.kind == "category"),
        sum(len(f.vocabulary) for f in profile if f.kind == "categories"),
        sum(f.kind == "number" for f in profile),
    )


def ranker_shape(schema: FeatureSchema, preset: RankingPreset) -> RankerShape:
    return RankerShape(
        item_widths(schema),
        sum(feature.view == "item_activity" for feature in schema.item),
        tuple(len(f.vocabulary) + 1 for f in schema.user if f.kind == "category"),
        sum(feature.kind == "number" for feature in schema.user),
        item_dim=preset.item_dim,
        user_dim=preset.user_dim,
        attention_dim=preset.attention_dim,
        cross_layers=preset.cross_layers,
        cross_rank=preset.cross_rank,
        hidden=preset.hidden,
        dropout=preset.dropout,
    )


class _Clock:
    """Wall and processor seconds of each part."""

    def __init__(self) -> None:
        self.laps: dict[str, dict[str, float]] = {}
        self._at = time.monotonic(), time.process_time()

    def lap(self, name: str) -> None:
        wall, processor = time.monotonic(), time.process_time()
        self.laps[name] = {"wall": round(wall - self._at[0], 1), "cpu": round(processor - self._at[1], 1)}
        self._at = wall, processor
