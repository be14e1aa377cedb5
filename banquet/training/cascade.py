"""Retrieval's best candidates, ranked: what serving does, on the targets of validation and test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from banquet.training.blend import Lists, best_weights
from banquet.training.evaluate import Ranks, in_batches
from banquet.training.served.lessons import slate_logits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from banquet.core.questions import Question
    from banquet.training.activity import Log
    from banquet.training.models.ranking import Ranker
    from banquet.training.moments import Moments
    from banquet.training.questions import Asked, Questions
    from banquet.training.served.slates import Slates
    from banquet.training.train_retrieval import Scorer

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]

# A page is nearly the whole catalogue, and weights have no say where nothing is known of a user.
WEIGHED_BY: tuple[Question, ...] = ("catalogue", "filtered", "slate")


@dataclass(frozen=True)
class Cascade:
    """Both models together."""

    moments: Moments
    scorer: Scorer
    model: Ranker

    @property
    def tells_likes(self) -> bool:
        return True

    def logits(self, targets: Ints, rows: Ints, retrieval: Tensor, profile: Mask | None = None) -> tuple[Tensor, Tensor]:
        """Correction and like logit [B, C] of item rows [B, C] with their retrieval scores (or -inf) at targets [B].

        `profile` [B] says whose profile is known; by default everybody's.
        """
        history, mask = self.moments.history(self.model, targets)
        user = self.moments.user(self.model, targets[:, None], profile=None if profile is None else profile[:, None])
        candidates = self.moments.candidates(self.model, rows, targets[:, None])
        known = retrieval.masked_fill(torch.isinf(retrieval), 0.0)
        correction, like = self.model(user, history, mask[:, None, :], candidates, known)
        return correction, like

    def stranger_logits(self, targets: Ints, rows: Ints, profile: Mask) -> tuple[Tensor, Tensor]:
        """As `logits`, for users without history and counters; retrieval has no say."""
        nothing = torch.zeros(len(targets), 1, 1)
        correction, like = self.model(
            self.moments.user(self.model, targets[:, None], profile=profile[:, None], activity=False),
            nothing.expand(-1, 1, self.model.shape.item_dim),
            nothing,
            self.moments.candidates(self.model, rows, targets[:, None]),
            torch.zeros(rows.shape),
        )
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

    def of_asked(self, asked: Asked) -> Tensor:
        """Served scores [B, C] of a question's candidates."""
        correction, like = self._logits_of(asked)
        return self.model.score(asked.before_ranking, correction, like)

    def of_slates(self, slates: Slates) -> tuple[Tensor, Tensor]:
        """Retrieval scores (-inf where there is no item) and served scores [S, K] of what was shown."""
        with torch.no_grad():
            retrieval, correction, like = slate_logits(self.moments, self.scorer, self.model, slates)
            return retrieval, self.model.score(retrieval, correction, like)

    def weights(self) -> dict[str, float]:
        """What the two heads count in the served score."""
        return {"click": round(float(self.model.click_weight), 2), "like": round(float(self.model.like_weight), 2)}

    def choose_weights(self, questions: Questions, targets: Ints, served: Sequence[Lists] = ()) -> float:
        """Weigh correction and liking by what the targets of validation and the lists `served` show; returns the mean of their
        NDCG@10 over these questions. Rare items, which few of the targets are, count as a question of their own.
        """
        lists = [
            [self._lists(asked) for asked in questions.ask(question, targets)]
            for question in WEIGHED_BY
            if questions.can_ask(question)
        ]
        rare = targets[questions.are_rare(targets)]
        lists.append([self._lists(asked) for asked in questions.ask("catalogue", rare)])
        click, liking, ndcg = best_weights([*lists, served], with_likes=self.moments.log.has_ratings)
        self.set_weights(click, liking)
        return ndcg

    def set_weights(self, click: float, liking: float) -> None:
        """Let correction and liking count so much in the served score."""
        self.model.click_weight.fill_(click)
        self.model.like_weight.fill_(liking)

    def _lists(self, asked: Asked) -> Lists:
        correction, like = self._logits_of(asked)
        own = torch.from_numpy(asked.rows == self.moments.log.item[asked.targets][:, None])
        return Lists(asked.before_ranking, correction, like, own)

    def _logits_of(self, asked: Asked) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            if asked.known:
                return self.logits(asked.targets, asked.rows, asked.retrieval)
            return self.stranger_logits(asked.targets, asked.rows, np.zeros(len(asked.targets), np.bool_))


def metrics_of(log: Log, asked: Iterable[Asked], score: Callable[[Asked], Tensor]) -> dict[str, float]:
    """Full-ranking metrics of scores [B, C] of what is asked; a target that is not among the candidates counts as missed."""
    ranks = Ranks()
    for each in asked:
        spread = np.full((len(each.rows), log.n_items), -np.inf, np.float32)
        np.put_along_axis(spread, each.rows, score(each).numpy(), 1)
        ranks.add(spread, log.item[each.targets])
    return ranks.metrics(log.n_items)
