"""How much the ranking model's two heads weigh in the served score, chosen where they cost no question its order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch.nn import functional

from banquet.training.questions import gains

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

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

    The smallest correction of nearly the best mean gain, among those behind retrieval alone in no question; then the most liking
    that stays within its price in every question.
    """
    asked = [lists for lists in questions if lists]
    if not asked:
        return 0.0, 0.0, 0.0
    alone = _reached(asked, 0.0, 0.0)
    by_click = {click: _reached(asked, click, 0.0) for click in CLICK_WEIGHTS}
    # No correction at all is one of them.
    gains_of = {weight: float((values - alone).mean()) for weight, values in by_click.items() if (values >= alone).all()}
    click = min(weight for weight, gain in gains_of.items() if gain >= NEARLY_BEST * max(gains_of.values()))
    reached = {0.0: by_click[click]}
    if with_likes:
        reached |= {liking: _reached(asked, click, liking) for liking in LIKE_WEIGHTS[1:]}
    least = reached[0.0] - PRICE_OF_LIKING * np.maximum(reached[0.0] - alone, 0.0)
    liking = max(weight for weight, values in reached.items() if (values >= least).all())
    return click, liking, float(reached[liking].mean())


def ndcg(lists: Sequence[Lists], click: float, liking: float) -> float:
    """NDCG@10 of the blend; who took something that is not in the list counts as missed, ties count against."""
    parts = [gains(part.scores + click * part.correction + liking * functional.logsigmoid(part.like), part.own) for part in lists]
    return float(np.concatenate(parts).mean()) if parts else 0.0


def _reached(asked: Sequence[Sequence[Lists]], click: float, liking: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([ndcg(lists, click, liking) for lists in asked])
