"""How much the ranking model's two heads weigh in the served score, chosen where they cost the order nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from banquet.training.evaluate import TOP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

CLICK_WEIGHTS = (0.0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0)
LIKE_WEIGHTS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
# The share of what ranking gained over retrieval, in NDCG@10, that may be given for items that are liked.
PRICE_OF_LIKING = 0.25


@dataclass(frozen=True)
class Lists:
    """Candidates of B users: retrieval scores, corrections and like logits [B, C]; `own` marks what each user really took."""

    scores: Tensor
    correction: Tensor
    like: Tensor
    own: Tensor


def best_weights(lists: Sequence[Lists], *, with_likes: bool) -> tuple[float, float, float]:
    """Click weight, like weight and their NDCG@10: the best correction, then the most liking that stays within its price.

    A like weight above 0 never falls behind retrieval alone on these lists.
    """
    alone = ndcg(lists, 0.0, 0.0)
    by_click = {click: ndcg(lists, click, 0.0) for click in CLICK_WEIGHTS}
    click = max(by_click, key=lambda weight: by_click[weight])
    reached = {0.0: by_click[click]}
    if with_likes:
        reached |= {liking: ndcg(lists, click, liking) for liking in LIKE_WEIGHTS[1:]}
    least = reached[0.0] - PRICE_OF_LIKING * (reached[0.0] - alone)
    liking = max(weight for weight, value in reached.items() if value >= least)
    return click, liking, reached[liking]


def ndcg(lists: Sequence[Lists], click: float, liking: float) -> float:
    """NDCG@10 of the blend; who took something that is not in the list counts as missed, ties count against."""
    gains = []
    for part in lists:
        scores = part.scores + click * part.correction + liking * functional.logsigmoid(part.like)
        target = scores.masked_fill(~part.own, torch.inf).amin(1, keepdim=True)
        ranks = (scores >= target).sum(1).numpy()
        found = part.own.any(1).numpy() & (ranks <= TOP)
        gains.append(np.where(found, 1 / np.log2(np.maximum(ranks, 1) + 1.0), 0.0))
    return float(np.concatenate(gains).mean()) if gains else 0.0
