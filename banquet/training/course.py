"""What a training is given and what it hands on, whosever models it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from banquet.training.export import Exported
    from banquet.training.material import Material
    from banquet.training.moments import Moments
    from banquet.training.presets import Preset
    from banquet.training.progress import Progress
    from banquet.training.questions import Asked
    from banquet.training.served.slates import Slates
    from banquet.training.train_retrieval import Scorer

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Course:
    """`slates` are what was shown, to train on, validate and test; None where nothing was. `rng` decides the batches.

    `folder` takes the graphs of whatever is finished. `weights` of clicks and likes are given where they were measured before.
    """

    material: Material
    slates: tuple[Slates, Slates, Slates] | None
    preset: Preset
    seed: int
    rng: np.random.Generator
    progress: Progress
    folder: Path
    weights: tuple[float, float] | None = None


class Ranking(Protocol):
    """Both models together, as serving runs them, at targets: positions in the log, each just before its event."""

    @property
    def moments(self) -> Moments: ...

    @property
    def tells_likes(self) -> bool:
        """Whether the model has log-odds of its own for liking what was taken."""

    def of_rows(self, targets: Ints, rows: Ints) -> tuple[Floats, Floats]:
        """Served scores and like logits [T, C] of any items; the same twice where likes are not told apart."""

    def of_asked(self, asked: Asked) -> Tensor:
        """Served scores [B, C] of a question's candidates."""

    def weights(self) -> dict[str, float]:
        """What the parts of the served score count, where it has any."""


@dataclass(frozen=True)
class FinishedRetrieval:
    """`vectors` [n_items, d] are those of the schema's items, in their order."""

    scorer: Scorer
    vectors: Floats
    exported: Exported


@dataclass(frozen=True)
class FinishedRanking:
    """`of_slates` gives retrieval scores and served scores [S, K] of what was shown."""

    ranking: Ranking
    of_slates: Callable[[Slates], tuple[Tensor, Tensor]]
    exported: Exported
