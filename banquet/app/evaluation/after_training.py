"""The short evaluation of a release that was just trained: fewer users, no parts of questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from banquet.app.evaluation.evaluate import EvaluationPlan, evaluate_release, run
from banquet.app.placements import read_placements
from banquet.app.settings import read_settings
from banquet.training.datasets.dataset import Dataset

if TYPE_CHECKING:
    from pathlib import Path

    from banquet.training.progress import Progress

USERS = 1000


def evaluate_new(data: Path, releases: Path, version: str, seed: int, progress: Progress) -> dict[str, Any]:
    """What callers would get from it, by the placements of the settings. Raises as `evaluate_release`."""
    placements = read_placements(read_settings().placements_file)
    # The placement that stands first, where there is no `home`.
    main = "home" if "home" in placements else next(iter(placements))
    plan = EvaluationPlan(USERS, seed, main)
    with progress:
        return run(evaluate_release(plan, Dataset.load(data), releases, version, placements, progress))
