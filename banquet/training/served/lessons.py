"""What ranking learns from what was shown: whatever was taken should have stood above what was seen and left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from banquet.training.blend import Lists
from banquet.training.evaluate import in_batches
from banquet.training.models.ranking import item_features
from banquet.training.served.slates import MOST_SHOWN

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from banquet.training.models.ranking import Ranker
    from banquet.training.moments import Moments
    from banquet.training.served.slates import Slates
    from banquet.training.train_retrieval import Scorer

    Ints = NDArray[np.int64]

# More answers than this per epoch teach nothing new.
MOST_ANSWERS = 300_000
# An item shown by a chance of one in a thousand counts as this many, not as a thousand, or one click would drown the rest.
MOST_WEIGHT = 10.0


class Examination(nn.Module):
    """What a position is worth by itself, since people look at the first places first. It is learned beside the model and left
    out in serving.
    """

    def __init__(self) -> None:
        super().__init__()
        self.worth = nn.Parameter(torch.zeros(MOST_SHOWN))

    def forward(self, places: int) -> Tensor:
        return self.worth[:places]


@dataclass(frozen=True)
class Lessons:
    """Slates to learn from and to choose the best epoch by. `rng` decides the batches."""

    moments: Moments
    scorer: Scorer
    train: Slates
    valid: Slates
    rng: np.random.Generator
    examination: Examination = field(default_factory=Examination)

    def __len__(self) -> int:
        return min(len(self.train), MOST_ANSWERS)

    def in_parts(self, count: int) -> list[Ints]:
        """One epoch of slates, cut into `count` parts."""
        return np.array_split(self.rng.permutation(len(self.train))[:MOST_ANSWERS], count)

    def loss(self, model: Ranker, which: Ints) -> Tensor:
        """Cross-entropy of each item taken among itself and what was not, weighted by how rarely it is shown."""
        if not len(which):
            return torch.zeros(())
        slates = self.train.take(which)
        retrieval, correction, _ = self._logits(model, slates)
        logits = retrieval + correction + self.examination(slates.items.shape[1])
        taken = torch.from_numpy(slates.taken)
        left = logits.masked_fill(taken | torch.isinf(retrieval), -torch.inf).logsumexp(1, keepdim=True)
        weights = torch.from_numpy(np.minimum(1 / np.maximum(slates.propensity, 1 / MOST_WEIGHT), MOST_WEIGHT))
        losses = functional.softplus(left - logits)[taken] * weights[taken]
        return losses.sum() / weights[taken].sum()

    def judging(self, model: Ranker) -> list[Lists]:
        """The slates of validation as the cascade's weights are chosen by."""
        return self.lists(model, self.valid)

    def lists(self, model: Ranker, slates: Slates) -> list[Lists]:
        parts = []
        with torch.no_grad():
            for batch in in_batches(np.arange(len(slates))):
                part = slates.take(batch)
                parts.append(Lists(*self._logits(model, part), torch.from_numpy(part.taken)))
        return parts

    def _logits(self, model: Ranker, slates: Slates) -> tuple[Tensor, Tensor, Tensor]:
        return slate_logits(self.moments, self.scorer, model, slates)


def slate_logits(moments: Moments, scorer: Scorer, model: Ranker, slates: Slates) -> tuple[Tensor, Tensor, Tensor]:
    """Retrieval score (-inf where there is no item), correction and like logit [B, K]."""
    items, history = torch.from_numpy(slates.items), torch.from_numpy(slates.history)
    retrieval = scorer.of(scorer.after(history), items.clamp(min=0))
    activity = torch.from_numpy(moments.item_activity.at(slates.items, slates.moments[:, None]))
    categories, numbers = (torch.from_numpy(part)[:, None] for part in (slates.categories, slates.numbers))
    user = model.user(categories if categories.shape[-1] else None, numbers if numbers.shape[-1] else None)
    correction, like = model(
        user.expand(len(slates), 1, -1),
        moments.items.vectors(model.items, history),
        (history >= 0).to(torch.float32)[:, None, :],
        item_features(moments.items.vectors(model.items, items), activity),
        retrieval,
    )
    return retrieval.masked_fill(items < 0, -torch.inf), correction, like
