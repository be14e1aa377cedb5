"""How much the ranking model's two heads weigh in the served score, chosen where they cost no question its order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch.nn import functional

from banquet.training.evaluate import interval_95
from banquet.training.questions import gains

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    Gains = NDArray[np.float64]

CLICK_WEIGHTS = (0.0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0)
LIKE_WEIGHTS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
# The share of what ranking gained over retrieval, in NDCG@10, that may be given for items that are liked.
PRICE_OF_LIKING = 0.25
# A smaller correction that gains nearly as much as the best one carries over to new users better.
NEARLY_BEST = 0.9


@dataclass(frozen=True)
class Lists:
    """Candidates of B users: retrieval scores, corrections and like logits [B, C]; `own` marks what each user really took."""

    scores: Tensor
    correction: Tensor
    like: Tensor
    own: Tensor


def best_weights(questions: Sequence[Sequence[Lists]], *, with_likes: bool) -> tuple[float, float, float]:
    """Click weight, like weight and their mean NDCG@10 over the questions, each of which is lists of its own.

    The smallest correction of nearly the best mean gain, among those that make no question certainly worse than retrieval alone;
    then the most liking that stays within its price in every question.
    """
    asked = [lists for lists in questions if lists]
    if not asked:
        return 0.0, 0.0, 0.0
    alone = [gains_of(lists, 0.0, 0.0) for lists in asked]
    by_click = {click: [gains_of(lists, click, 0.0) for lists in asked] for click in CLICK_WEIGHTS}
    # No correction at all is one of them.
    gained = {click: _gain(alone, reached) for click, reached in by_click.items() if not _harms(alone, reached)}
    click = min(weight for weight, gain in gained.items() if gain >= NEARLY_BEST * max(gained.values()))
    before, best = _means(alone), _means(by_click[click])
    reached = {0.0: best}
    if with_likes:
        reached |= {liking: _means([gains_of(lists, click, liking) for lists in asked]) for liking in LIKE_WEIGHTS[1:]}
    least = best - PRICE_OF_LIKING * np.maximum(best - before, 0.0)
    liking = max(weight for weight, values in reached.items() if (values >= least).all())
    return click, liking, float(reached[liking].mean())


def gains_of(lists: Sequence[Lists], click: float, liking: float) -> Gains:
    """NDCG@10 of the blend for each user; who took something that is not in the list counts as missed, ties count against."""
    parts = [gains(part.scores + click * part.correction + liking * functional.logsigmoid(part.like), part.own) for part in lists]
    return np.concatenate(parts)


def _harms(alone: Sequence[Gains], reached: Sequence[Gains]) -> bool:
    """Whether a question is certainly worse: the 95 % interval of the paired difference lies below zero."""
    differences = (own - other for own, other in zip(reached, alone, strict=True))
    return any(interval_95(difference)[1] < 0 for difference in differences)


def _gain(alone: Sequence[Gains], reached: Sequence[Gains]) -> float:
    return float((_means(reached) - _means(alone)).mean())


def _means(each: Sequence[Gains]) -> Gains:
    return np.array([values.mean() for values in each])
