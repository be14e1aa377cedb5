"""From a release to a smaller or faster one: teach, prune, narrow the weights, measure beside the original, export, seal."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from banquet.core.errors import BadData, BadSettings
from banquet.releases import manifest, registry
from banquet.training.activity import read_log
from banquet.training.cascade import Cascade
from banquet.training.datasets.dataset import Dataset
from banquet.training.material import Material
from banquet.training.measure import quality
from banquet.training.optimize.loading import load_trained
from banquet.training.optimize.pruning import pruned
from banquet.training.optimize.quantizing import PRECISIONS, quantize
from banquet.training.optimize.shapes import dense_parameters, pruned_shape, student_shape
from banquet.training.optimize.speed import ROUNDS, graph_bytes, program_bytes, side_by_side
from banquet.training.optimize.teacher import Teacher
from banquet.training.presets import preset_named
from banquet.training.progress import Progress
from banquet.training.questions import Questions
from banquet.training.served_features import as_trained
from banquet.training.split import split_by_time
from banquet.training.train import write_models
from banquet.training.train_ranking import RankingTrainer
from banquet.training.train_retrieval import Scorer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rich.console import Console  # noqa: TID251 - as a type

    from banquet.training.models.ranking import Ranker
    from banquet.training.models.retrieval import Retrieval
    from banquet.training.optimize.loading import Trained


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to do to a release. Raises `BadSettings` for nothing at all, a share that leaves nothing, an unknown precision."""

    quantize: str | None = None
    prune: float | None = None
    distill: bool = False
    epochs: int = 1

    def __post_init__(self) -> None:
        if self.quantize is None and self.prune is None and not self.distill:
            raise BadSettings("nothing to do; ask for --quantize, --prune or --distill")
        if self.quantize is not None and self.quantize not in PRECISIONS:
            raise BadSettings(f"no precision {self.quantize!r}; choose one of: {', '.join(PRECISIONS)}")
        if self.prune is not None and not 0 < self.prune < 1:
            raise BadSettings(f"cannot prune a share of {self.prune}; take one between 0 and 1, such as 0.7")

    def steps(self) -> dict[str, Any]:
        """What was done, for the manifest: `distill`, `prune` and `precision`, each only if it was."""
        done = {"distill": self.distill or None, "prune": self.prune, "precision": self.quantize}
        return {name: value for name, value in done.items() if value is not None}


@dataclass(frozen=True)
class Workshop:
    """The original, and all that its successors learn from and are judged by."""

    original: Trained
    material: Material
    wanted: Wanted
    seed: int

    def teach(self, progress: Progress) -> Ranker:
        """The original's ranker, or the smaller one that was asked for: a student, pruned parts, or pruned parts of a student."""
        ranker = self.original.ranker
        trainer = self._trainer()
        if self.wanted.distill:
            ranker = trainer.fit(student_shape(ranker.shape), progress)
        if self.wanted.prune is not None:
            ranker = trainer.go_on(pruned(ranker, pruned_shape(ranker.shape, self.wanted.prune)), progress)
        return ranker

    def qualities(self, models: Sequence[tuple[Retrieval, Ranker]], progress: Progress) -> list[dict[str, float]]:
        progress.begin("quality", len(models))
        found = []
        for retrieval, ranker in models:
            cascade = self._cascade(retrieval, ranker)
            found.append(quality(cascade, self._questions(cascade.scorer), self.seed))
            progress.advance()
        return found

    def _trainer(self) -> RankingTrainer:
        """What the original learned, its ranker teaches: also from what was served, which need not be at hand again."""
        preset = preset_named(self.original.manifest.preset)
        taught = replace(preset, ranking=replace(preset.ranking, epochs=self.wanted.epochs))
        cascade = self._cascade(self.original.retrieval, self.original.ranker)
        rng = np.random.default_rng(self.seed)
        return RankingTrainer(cascade.moments, self.material.split, cascade.scorer, taught, rng, teacher=Teacher(cascade))

    def _cascade(self, retrieval: Retrieval, ranker: Ranker) -> Cascade:
        material = self.material
        scorer = Scorer(material.log, material.items, retrieval, material.schema.history_length)
        return Cascade(material.moments(), scorer, ranker)

    def _questions(self, scorer: Scorer) -> Questions:
        material, preset = self.material, preset_named(self.original.manifest.preset)
        return Questions(material.log, material.split, scorer, material.items, preset.ranking.pool)


def optimize(
    data_dir: Path,
    release_root: Path,
    version: str | None,
    wanted: Wanted,
    *,
    seed: int = 7,
    threads: int | None = None,
    console: Console | None = None,
) -> Path:
    """Make a new release out of `version`, by default the one in force, and the dataset it was trained on; returns its folder.

    The new release is not put in force. Its metrics hold `original` and `optimized`: sizes, speeds and quality of both, measured
    in one run. Raises `BadData`, `BadSettings` or `BadRelease`; then nothing has changed under `release_root`.
    """
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    original = load_trained(registry.resolve(release_root, version))
    shop = Workshop(original, _material(data_dir, original.manifest), wanted, seed)
    with Progress(console) as progress, registry.making(release_root) as folder:
        ranker, retrieval = shop.teach(progress), original.retrieval
        sizes = [{"dense_parameters": dense_parameters(model)} for model in (original.ranker, ranker)]
        finish: Callable[[nn.Module], object] = nn.Module.eval
        if wanted.quantize:
            ranker, retrieval = copy.deepcopy((ranker, retrieval))
            finish = partial(quantize, precision=wanted.quantize)
            finish(ranker)
            finish(retrieval)
        # What graphs derive from the weights is narrowed as well.
        models = write_models(folder, shop.material, retrieval, ranker, np.random.default_rng(seed), finish)
        qualities = shop.qualities([(original.retrieval, original.ranker), (retrieval, ranker)], progress)
        folders = original.folder, folder
        progress.begin("speed", ROUNDS)
        speeds = side_by_side(folders, original.manifest.schema.history_length, progress.advance)
        rows = [
            {"graph_bytes": graph_bytes(at), "program_bytes": program_bytes(at), **size, **speed, **good}
            for at, size, speed, good in zip(folders, sizes, speeds, qualities, strict=True)
        ]
        manifest.seal(
            folder,
            schema=original.manifest.schema,
            models=models,
            metrics={"original": rows[0], "optimized": rows[1], "epochs": progress.notes, **_refit_of(original.manifest)},
            dataset=original.manifest.dataset,
            preset=original.manifest.preset,
            seed=seed,
            made_from={"release": original.manifest.version, **wanted.steps()},
            ranking_left_out=original.manifest.ranking_left_out,
        )
        return registry.add(release_root, folder)


def _refit_of(trained: manifest.Manifest) -> dict[str, Any]:
    """What learned from everything keeps saying so: nothing held back can tell how good it is."""
    measured = trained.metrics.get("refit_of")
    return {} if measured is None else {"refit_of": measured}


def _material(data_dir: Path, trained: manifest.Manifest) -> Material:
    dataset = Dataset.load(data_dir)
    if dataset.name != trained.dataset:
        raise BadData(f"{data_dir}: is dataset {dataset.name}, release {trained.version} was trained on {trained.dataset}")
    # It may have been trained for a repo whose types are others than the dataset's.
    dataset = as_trained(dataset, trained.schema)
    log = read_log(dataset)
    return Material.of(dataset, log, split_by_time(log), trained.schema)
