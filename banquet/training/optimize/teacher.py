"""The trained ranker as teacher of a smaller one, which learns to answer as it does (distillation, Hinton et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from banquet.training.train_ranking import likes_in_windows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from banquet.training.candidates import Contest
    from banquet.training.cascade import Cascade

    Ints = NDArray[np.int64]

# Below any real score; finite, as nothing times infinity is no number.
HIDDEN = -1e4


@dataclass(frozen=True)
class Teacher:
    """Says of the same lists and windows what it would have answered. `cascade` holds the finished ranker."""

    cascade: Cascade

    def click_loss(self, targets: Ints, met: Contest, correction: Tensor) -> Tensor:
        """Cross-entropy [B, C] between which item the teacher and which the student (its `correction`) expects to be taken."""
        with torch.no_grad():
            taught, _ = self.cascade.logits(targets, met.rows, met.retrieval)
        expected, learned = ((met.retrieval + logits + met.log_weight).clamp(min=HIDDEN) for logits in (taught, correction))
        return functional.cross_entropy(learned, torch.softmax(expected, -1))

    def like_loss(self, before: Ints, targets: Ints, mask: Tensor, next_scores: Tensor, due: Tensor, like: Tensor) -> Tensor:
        """Cross-entropy between how likely the teacher and the student (its logits `like` of those `due`) find a liking."""
        with torch.no_grad():
            taught = likes_in_windows(self.cascade.moments, self.cascade.model, before, targets, mask, next_scores)
        return functional.binary_cross_entropy_with_logits(like, torch.sigmoid(taught[due]))
