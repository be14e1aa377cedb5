"""Retrieval's best candidates, ranked: what serving does, on the targets of validation and test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from banquet.training.evaluate import TOP, Ranks, hide_seen, in_batches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from banquet.training.models.ranking import Ranker
    from banquet.training.moments import Moments
    from banquet.training.train_retrieval import Scorer

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float32]

USERS_AT_ONCE = 64
# Weights of the like head that are tried, and the share of the best NDCG@10 that more liking may cost.
LIKE_WEIGHTS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
PRICE_OF_LIKING = 0.01


@dataclass(frozen=True)
class Cascade:
    """Both models together. `pool` is how many candidates retrieval hands on."""

    moments: Moments
    scorer: Scorer
    model: Ranker
    pool: int

    def logits(self, targets: Ints, rows: Ints, retrieval: Tensor) -> tuple[Tensor, Tensor]:
        """Click and like [B, C] of item rows [B, C] with their retrieval scores at targets [B]; -inf stays -inf."""
        history, mask = self.moments.history(self.model, targets)
        user = self.moments.user(self.model, targets[:, None])
        candidates = self.moments.candidates(self.model, rows, targets[:, None])
        found = torch.isfinite(retrieval)
        clicks, likes = self.model(user, history, mask[:, None, :], candidates, retrieval.masked_fill(~found, 0.0))
        return clicks.masked_fill(~found, -torch.inf), likes

    def of_rows(self, targets: Ints, rows: Ints) -> tuple[Floats, Floats]:
        """Served scores and like logits [T, C] of any items [T, C] at targets [T]."""
        served, liked = [], []
        for places in in_batches(np.arange(len(targets))):
            batch, items = targets[places], rows[places]
            with torch.no_grad():
                retrieval = (self.scorer.users(batch)[:, None] * self.scorer.vectors[torch.from_numpy(items)]).sum(-1)
                click, like = self.logits(batch, items, retrieval)
                served.append(self.model.score(click, like).numpy())
            liked.append(like.numpy())
        return np.concatenate(served), np.concatenate(liked)

    def metrics(self, targets: Ints) -> dict[str, float]:
        """Full-ranking metrics of the served score; a target that retrieval did not find counts as missed."""
        ranks = Ranks()
        for batch, rows, click, like in self._ranked(targets):
            ranks.add(self._spread(rows, self.model.score(click, like)), self.moments.log.item[batch])
        return ranks.metrics(self.moments.log.n_items)

    def choose_like_weight(self, targets: Ints) -> float:
        """Give the like head the largest weight that costs no more of the best NDCG@10 than it may; return that NDCG@10."""
        log = self.moments.log
        places: dict[float, list[Ints]] = {weight: [] for weight in LIKE_WEIGHTS}
        for batch, rows, click, like in self._ranked(targets):
            own = torch.from_numpy(rows == log.item[batch][:, None])
            for weight in LIKE_WEIGHTS if log.has_ratings else LIKE_WEIGHTS[:1]:
                scores = click + weight * torch.nn.functional.logsigmoid(like)
                target = scores.masked_fill(~own, -torch.inf).amax(1, keepdim=True)
                places[weight].append(torch.where(own.any(1), (scores >= target).sum(1), self.pool + 1).numpy())
        ndcg = {weight: _ndcg(np.concatenate(ranks)) for weight, ranks in places.items() if ranks}
        affordable = (1 - PRICE_OF_LIKING) * max(ndcg.values())
        weight = max(weight for weight, value in ndcg.items() if value >= affordable)
        self.model.like_weight.fill_(weight)
        return ndcg[weight]

    def _ranked(self, targets: Ints) -> Iterator[tuple[Ints, Ints, Tensor, Tensor]]:
        """Per batch: the targets [B], retrieval's best items [B, pool], their click and like logits."""
        for batch in in_batches(targets, USERS_AT_ONCE):
            scores = self.scorer(batch)
            hide_seen(self.moments.log, batch, scores)
            best = torch.topk(torch.from_numpy(scores), min(self.pool, scores.shape[1]), 1)
            with torch.no_grad():
                click, like = self.logits(batch, best.indices.numpy(), best.values)
            yield batch, best.indices.numpy(), click, like

    def _spread(self, rows: Ints, scores: Tensor) -> Floats:
        spread = np.full((len(rows), self.moments.log.n_items), -np.inf, np.float32)
        np.put_along_axis(spread, rows, scores.numpy(), 1)
        return spread


def _ndcg(ranks: Ints) -> float:
    return float(np.where(ranks <= TOP, 1 / np.log2(ranks + 1.0), 0.0).mean())
