"""Negative sampling for ranking: against each item taken, retrieval's nearest, a sample of its pool, and one of all the rest.

Every sampled item stands for several, and its logit is corrected for that (logQ, Bengio & Senecal 2008): what ranking learns is
the softmax over the whole catalogue. Such a model orders any part of the catalogue as it orders the whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from banquet.core.errors import BadData
from banquet.training.evaluate import hide_seen, unseen_targets
from banquet.training.split import trained_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from banquet.training.activity import Log
    from banquet.training.encoding import Items
    from banquet.training.split import Split
    from banquet.training.train_retrieval import Scorer

    Ints = NDArray[np.int64]

# More clicks than this per epoch teach nothing new.
MOST_CLICKS = 300_000
# Of the candidates from the rest of the catalogue, the share that is drawn by popularity; the others are drawn evenly.
POPULAR_SHARE = 0.5
# The share of targets whose candidates all have a category of the target, as a query with a filter finds them.
FILTERED_SHARE = 0.3
# Retrieval scores are put on a scale that so many targets show.
SCALE_TARGETS = 500


@dataclass(frozen=True, slots=True)
class Contest:
    """The item taken at each target, first of C. rows [B, C] of items, their retrieval scores [B, C], -inf for no candidate.

    `log_weight` [B, C] is what to add to logits, since each sampled item stands for several.
    """

    rows: Ints
    retrieval: Tensor
    log_weight: Tensor


def click_targets(log: Log, split: Split, rng: np.random.Generator) -> Ints:
    """The interactions that retrieval did not learn from, with items new to their user, in random order."""
    places = np.arange(len(log))
    held_back = places[(places >= split.retrieval_end[log.user]) & (places < split.train_end[log.user])]
    new = unseen_targets(log, held_back)
    if not len(new):
        raise BadData("interactions.parquet: no user's later interactions are with an item new to them; import more items")
    return rng.permutation(new)[:MOST_CLICKS]


def scale_of_scores(scorer: Scorer, targets: Ints, pool: int) -> tuple[float, float]:
    """Mean and standard deviation of the scores that retrieval hands on, as some of the targets show them."""
    best = np.sort(scorer(targets[:SCALE_TARGETS]), 1)[:, -pool:]
    return float(best.mean()), max(float(best.std()), 1e-6)


@dataclass(frozen=True)
class Sampler:
    """Draws the candidates that items taken are held against: `nearest` and `sampled` of the `pool` that retrieval hands on,
    and `far` of the rest of the catalogue; fewer in a small one. `items` say which share a category. `rng` decides all draws.
    """

    log: Log
    split: Split
    scorer: Scorer
    items: Items
    nearest: int
    sampled: int
    far: int
    pool: int
    rng: np.random.Generator

    @cached_property
    def popularity(self) -> NDArray[np.float64]:
        """[N] chances to be drawn as a candidate: by interactions in training, plus one so that no item is left out."""
        counts = trained_counts(self.log, self.split).astype(np.float64) + 1.0
        chances: NDArray[np.float64] = counts / counts.sum()
        return chances

    def contest(self, targets: Ints) -> Contest:
        """Candidates for targets [B], which are positions in the log."""
        log = self.log
        scores = self.scorer(targets)
        taken = log.item[targets][:, None]
        own = torch.from_numpy(np.take_along_axis(scores, taken, 1))
        hide_seen(log, targets, scores)
        self._narrow(scores, log.item[targets])
        np.put_along_axis(scores, taken, -np.inf, 1)
        whole = torch.from_numpy(scores)
        best = torch.topk(whole, min(self.pool, log.n_items - 1), 1)
        near, near_weight = self._near(best.indices, best.values)
        # Whatever scores less than the last of the pool.
        far, far_weight = self._far(whole, best.values[:, -1:])
        rows = torch.cat([torch.from_numpy(taken), near, far], 1)
        retrieval = torch.cat([own, whole.gather(1, torch.cat([near, far], 1))], 1)
        log_weight = torch.cat([torch.zeros_like(own), near_weight, far_weight], 1)
        return Contest(rows.numpy(), retrieval.masked_fill(torch.isinf(log_weight), -torch.inf), log_weight)

    def _near(self, best: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the pool's nearest and of a sample of its rest, and their log weights [B, C]."""
        nearest = min(self.nearest, best.shape[1])
        rest = best.shape[1] - nearest
        drawn = torch.from_numpy(np.argsort(self.rng.random((len(best), rest)), 1)[:, : self.sampled])
        picks = torch.cat([torch.arange(nearest).expand(len(best), -1), nearest + drawn], 1)
        weight = torch.zeros(picks.shape)
        if rest:
            weight[:, nearest:] = math.log(rest / drawn.shape[1])
        return best.gather(1, picks), weight.masked_fill(torch.isinf(scores.gather(1, picks)), -torch.inf)

    def _far(self, scores: Tensor, bar: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the catalogue, the same for all targets, and their log weights [B, F], -inf where one is in the pool or hidden.

        scores [B, N]; bar [B, 1] is the lowest score of the pool.
        """
        if self.log.n_items <= self.pool + 1 or not self.far:
            return torch.zeros(len(scores), 0, dtype=torch.int64), torch.zeros(len(scores), 0)
        chances = POPULAR_SHARE * self.popularity + (1 - POPULAR_SHARE) / self.log.n_items
        drawn = self.rng.choice(self.log.n_items, self.far, p=chances)
        weight = torch.from_numpy(-np.log(self.far * chances[drawn])).to(torch.float32)
        rows = torch.from_numpy(drawn).expand(len(scores), -1)
        known = scores.gather(1, rows)
        return rows, weight.expand(len(scores), -1).masked_fill((known >= bar) | torch.isinf(known), -torch.inf)

    def _narrow(self, scores: NDArray[np.float32], taken: Ints) -> None:
        """For some targets, hide the items without a category of the item taken, in place."""
        lists = self.items.lists
        if lists is None:
            return
        held = lists.numpy()
        for row in np.flatnonzero(self.rng.random(len(taken)) < FILTERED_SHARE).tolist():
            categories = np.flatnonzero(held[taken[row]])
            if len(categories):
                scores[row, held[:, self.rng.choice(categories)] == 0] = -np.inf
