"""The short evaluation of a release that was just trained: fewer users, no parts of questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from banquet.app.evaluation.evaluate import EvaluationPlan, evaluate_release, run
from banquet.training.datasets.dataset import Dataset

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from banquet.app.placements import PlacementSettings
    from banquet.training.progress import Progress

USERS = 1000


def evaluate_new(
    data: Path,
    releases: Path,
    version: str,
    seed: int,
    placements: Mapping[str, PlacementSettings],
    progress: Progress,
) -> dict[str, Any]:
    """What callers would get from it. Raises as `evaluate_release`."""
    # The placement that stands first, where there is no `home`.
    main = "home" if "home" in placements else next(iter(placements))
    plan = EvaluationPlan(USERS, seed, main)
    with progress:
        return run(evaluate_release(plan, Dataset.load(data), releases, version, placements, progress))
