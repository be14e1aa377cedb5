"""What ranking learns to order: the item taken, retrieval's nearest, and a sample that stands for the rest of its pool."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from banquet.core.errors import BadData
from banquet.training.evaluate import hide_seen, unseen_targets

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from banquet.training.activity import Log
    from banquet.training.split import Split
    from banquet.training.train_retrieval import Scorer

    Ints = NDArray[np.int64]

# More clicks than this per epoch teach nothing new.
MOST_CLICKS = 300_000


@dataclass(frozen=True, slots=True)
class Contest:
    """The item taken at each target, first of C. rows [B, C] of items, their retrieval scores [B, C].

    `worth` [C] is what to add to logits, since each sampled item stands for several.
    """

    rows: Ints
    retrieval: Tensor
    worth: Tensor


def click_targets(log: Log, split: Split, rng: np.random.Generator) -> Ints:
    """The interactions that retrieval did not learn from, with items new to their user, in random order."""
    places = np.arange(len(log))
    held_back = places[(places >= split.retrieval_end[log.user]) & (places < split.train_end[log.user])]
    new = unseen_targets(log, held_back)
    if not len(new):
        raise BadData("interactions.parquet: no user's later interactions are with an item new to them; import more items")
    return rng.permutation(new)[:MOST_CLICKS]


def contest(
    log: Log, scorer: Scorer, targets: Ints, *, nearest: int, sampled: int, pool: int, rng: np.random.Generator
) -> Contest:
    """Against the `nearest` of the `pool` that retrieval hands on and `sampled` others of it; fewer in a small catalogue."""
    scores = scorer(targets)
    taken = log.item[targets][:, None]
    own = torch.from_numpy(np.take_along_axis(scores, taken, 1))
    hide_seen(log, targets, scores)
    np.put_along_axis(scores, taken, -np.inf, 1)
    best = torch.topk(torch.from_numpy(scores), min(pool, log.n_items - 1), 1)
    nearest = min(nearest, best.indices.shape[1])
    rest = best.indices.shape[1] - nearest
    drawn = np.argsort(rng.random((len(targets), rest)), 1)
    picks = torch.from_numpy(nearest + drawn[:, :sampled])
    picked = torch.cat([torch.arange(nearest).expand(len(targets), -1), picks], 1)
    rows = torch.cat([torch.from_numpy(taken), best.indices.gather(1, picked)], 1)
    worth = torch.zeros(rows.shape[1])
    if rest:
        worth[1 + nearest :] = math.log(rest / picks.shape[1])
    return Contest(rows.numpy(), torch.cat([own, best.values.gather(1, picked)], 1), worth)
