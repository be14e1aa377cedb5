"""Retrieval's best candidates, ranked: what serving does, on the targets of validation and test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from banquet.training.blend import Lists, best_weights
from banquet.training.evaluate import Ranks, hide_seen, in_batches
from banquet.training.served.lessons import slate_logits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from banquet.training.activity import Log
    from banquet.training.models.ranking import Ranker
    from banquet.training.moments import Moments
    from banquet.training.served.slates import Slates
    from banquet.training.train_retrieval import Scorer

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float32]

USERS_AT_ONCE = 64


@dataclass(frozen=True)
class Cascade:
    """Both models together. `pool` is how many candidates retrieval hands on."""

    moments: Moments
    scorer: Scorer
    model: Ranker
    pool: int

    @property
    def tells_likes(self) -> bool:
        return True

    def logits(self, targets: Ints, rows: Ints, retrieval: Tensor) -> tuple[Tensor, Tensor]:
        """Correction and like logit [B, C] of item rows [B, C] with their retrieval scores (or -inf) at targets [B]."""
        history, mask = self.moments.history(self.model, targets)
        user = self.moments.user(self.model, targets[:, None])
        candidates = self.moments.candidates(self.model, rows, targets[:, None])
        known = retrieval.masked_fill(torch.isinf(retrieval), 0.0)
        correction, like = self.model(user, history, mask[:, None, :], candidates, known)
        return correction, like

    def of_rows(self, targets: Ints, rows: Ints) -> tuple[Floats, Floats]:
        """Served scores and like logits [T, C] of any items [T, C] at targets [T]."""
        served, liked = [np.empty((0, rows.shape[1]), np.float32)], [np.empty((0, rows.shape[1]), np.float32)]
        for places in in_batches(np.arange(len(targets))):
            batch, items = targets[places], rows[places]
            with torch.no_grad():
                retrieval = self.scorer.of(self.scorer.users(batch), torch.from_numpy(items))
                correction, like = self.logits(batch, items, retrieval)
                served.append(self.model.score(retrieval, correction, like).numpy())
            liked.append(like.numpy())
        return np.concatenate(served), np.concatenate(liked)

    def metrics(self, targets: Ints) -> dict[str, float]:
        """Full-ranking metrics of the served score; a target that retrieval did not find counts as missed."""
        ranked = (
            (batch, rows, self.model.score(scores, correction, like))
            for batch, rows, scores, correction, like in self._ranked(targets)
        )
        return metrics_of(self.moments.log, ranked)

    def of_slates(self, slates: Slates) -> tuple[Tensor, Tensor]:
        """Retrieval scores (-inf where there is no item) and served scores [S, K] of what was shown."""
        with torch.no_grad():
            retrieval, correction, like = slate_logits(self.moments, self.scorer, self.model, slates)
            return retrieval, self.model.score(retrieval, correction, like)

    def weights(self) -> dict[str, float]:
        """What the two heads count in the served score."""
        return {"click": round(float(self.model.click_weight), 2), "like": round(float(self.model.like_weight), 2)}

    def choose_weights(self, targets: Ints, served: Sequence[Lists] = ()) -> float:
        """Weigh correction and liking by what the targets of validation and the lists `served` show; returns their NDCG@10."""
        log = self.moments.log
        lists = [
            Lists(scores, correction, like, torch.from_numpy(rows == log.item[batch][:, None]))
            for batch, rows, scores, correction, like in self._ranked(targets)
        ]
        click, liking, ndcg = best_weights([*lists, *served], with_likes=log.has_ratings)
        self.model.click_weight.fill_(click)
        self.model.like_weight.fill_(liking)
        return ndcg

    def _ranked(self, targets: Ints) -> Iterator[tuple[Ints, Ints, Tensor, Tensor, Tensor]]:
        """Per batch: the targets [B], retrieval's best items [B, pool] with their scores, corrections and like logits."""
        for batch, rows, scores in nearest(self.moments.log, self.scorer, targets, self.pool):
            with torch.no_grad():
                correction, like = self.logits(batch, rows, scores)
            yield batch, rows, scores, correction, like


def nearest(log: Log, scorer: Scorer, targets: Ints, pool: int) -> Iterator[tuple[Ints, Ints, Tensor]]:
    """Per batch: the targets [B], retrieval's best items [B, pool] and their scores."""
    for batch in in_batches(targets, USERS_AT_ONCE):
        scores = scorer(batch)
        hide_seen(log, batch, scores)
        best = torch.topk(torch.from_numpy(scores), min(pool, scores.shape[1]), 1)
        yield batch, best.indices.numpy(), best.values


def metrics_of(log: Log, ranked: Iterable[tuple[Ints, Ints, Tensor]]) -> dict[str, float]:
    """Full-ranking metrics of targets [B], item rows [B, C] and their scores; what is not among them counts as missed."""
    ranks = Ranks()
    for batch, rows, scores in ranked:
        spread = np.full((len(rows), log.n_items), -np.inf, np.float32)
        np.put_along_axis(spread, rows, scores.numpy(), 1)
        ranks.add(spread, log.item[batch])
    return ranks.metrics(log.n_items)
