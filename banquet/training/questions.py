"""The kinds of question that callers ask, put to the models at known targets: which candidates each has, and who wins.

As the gateway answers them (`core.questions`), so that weights are chosen, and a ranking model is left out, by what callers get.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from banquet.core.questions import QUESTIONS
from banquet.training.evaluate import TOP, are_popular, hide_seen, in_batches, interval_95
from banquet.training.split import trained_counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from banquet.core.questions import Question
    from banquet.training.activity import Log
    from banquet.training.encoding import Items
    from banquet.training.split import Split
    from banquet.training.train_retrieval import Scorer

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float32]

# Users per batch: candidates of each take the ranker's time.
USERS_AT_ONCE = 64
# The caller's own list: the target and so many others, drawn evenly from what the user has not had.
OTHERS = 99
# A page shows the nearest of its item and the user's own candidates, as the placement `detail` does.
NEAR_PAGE, OWN_ON_PAGE = 200, 300
# Users without history get the most popular.
POPULAR = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """One question at targets [B]: candidate rows int64 [B, C] and their retrieval scores [B, C], -inf where there is none.

    `known` is False for users of whom nothing is known: no history, no features. Then scores only tell the popular apart.
    """

    targets: Ints
    rows: Ints
    retrieval: Tensor
    known: bool = True

    @property
    def before_ranking(self) -> Tensor:
        """What ranking starts from: retrieval's scores, or nothing."""
        return self.retrieval if self.known else self.retrieval.masked_fill(torch.isfinite(self.retrieval), 0.0)


Score: TypeAlias = Callable[[Asked], "Tensor"]


@dataclass(frozen=True)
class Questions:
    """Puts questions. `pool` is how many candidates retrieval hands on; `seed` draws the lists of callers."""

    log: Log
    split: Split
    scorer: Scorer
    items: Items
    pool: int
    seed: int = 7

    def ask(self, question: Question, targets: Ints) -> Iterator[Asked]:
        """The question in batches; a target that is not among its candidates counts as missed."""
        rng = np.random.default_rng(self.seed)
        for batch in in_batches(targets, USERS_AT_ONCE):
            if question == "no_history":
                yield self._stranger(batch)
                continue
            scores = self.scorer(batch)
            hide_seen(self.log, batch, scores)
            if question == "slate":
                yield self._slate(batch, scores, rng)
                continue
            if question == "filtered":
                self._narrow(batch, scores)
            if question == "page":
                self._leave_page(batch, scores)
            best = torch.topk(torch.from_numpy(scores), min(self.pool, scores.shape[1]), 1)
            yield Asked(batch, best.indices.numpy(), best.values)

    def are_rare(self, targets: Ints) -> NDArray[np.bool_]:
        """Which of the items taken are none of the most popular, which have half of all interactions."""
        rare: NDArray[np.bool_] = ~are_popular(self.popularity)[self.log.item[targets]]
        return rare

    def can_ask(self, question: Question) -> bool:
        return question != "filtered" or self.items.lists is not None

    def _slate(self, targets: Ints, scores: Floats, rng: np.random.Generator) -> Asked:
        taken = self.log.item[targets][:, None]
        chances = np.where(np.isinf(scores), 2.0, rng.random(scores.shape))
        np.put_along_axis(chances, taken, -1.0, 1)
        rows = np.argpartition(chances, min(OTHERS, scores.shape[1] - 1), 1)[:, : OTHERS + 1]
        return Asked(targets, rows, torch.from_numpy(np.take_along_axis(scores, rows, 1)))

    def _narrow(self, targets: Ints, scores: Floats) -> None:
        """Leave the items that share the target's rarest category, in place."""
        held, holders = self._held
        for row, item in enumerate(self.log.item[targets].tolist()):
            categories = np.flatnonzero(held[item])
            if len(categories):
                scores[row, ~held[:, categories[np.argmin(holders[categories])]]] = -np.inf

    def _leave_page(self, targets: Ints, scores: Floats) -> None:
        """Leave what a page shows of the user's newest item, in place."""
        unit = torch.nn.functional.normalize(self.scorer.vectors, dim=1)
        near = (unit[self.log.item[targets - 1]] @ unit.T).numpy()
        near[np.isinf(scores)] = -np.inf
        keep = np.zeros(scores.shape, np.bool_)
        for kept, values in ((NEAR_PAGE, near), (OWN_ON_PAGE, scores)):
            most = min(kept, values.shape[1])
            np.put_along_axis(keep, np.argpartition(-values, most - 1, 1)[:, :most], values=True, axis=1)
        scores[~keep] = -np.inf

    def _stranger(self, targets: Ints) -> Asked:
        rows, counts = self._popular
        shape = (len(targets), len(rows))
        return Asked(targets, np.broadcast_to(rows, shape).copy(), torch.from_numpy(counts).expand(shape), known=False)

    @cached_property
    def _held(self) -> tuple[NDArray[np.bool_], Ints]:
        """Which item has which category [N, K], and how many items have each [K]."""
        assert self.items.lists is not None, "only data with categories can be filtered by them"
        held = self.items.lists.numpy() > 0
        return held, held.sum(0)

    @cached_property
    def popularity(self) -> Floats:
        """Interactions of each item in training, [N]."""
        return trained_counts(self.log, self.split)

    @cached_property
    def _popular(self) -> tuple[Ints, Floats]:
        """The most popular rows and their interactions in training."""
        rows = np.argsort(-self.popularity, kind="stable")[:POPULAR]
        return rows, self.popularity[rows]


@dataclass(frozen=True, slots=True)
class Value:
    """What ranking brings to a question: NDCG@10 without and with it, and the paired difference with its 95 % interval."""

    alone: float
    ranked: float
    low: float
    high: float

    @property
    def helps(self) -> bool:
        return self.ranked >= self.alone

    def as_json(self) -> dict[str, float]:
        return {"alone": self.alone, "ranked": self.ranked, "low": self.low, "high": self.high}


def value_of_ranking(questions: Questions, targets: Ints, ranked: Score) -> Mapping[Question, Value]:
    """Of each question that can be asked, at targets. `ranked` gives the served scores [B, C] of what is asked."""
    values: dict[Question, Value] = {}
    for question in QUESTIONS:
        if questions.can_ask(question) and len(targets):
            asked = list(questions.ask(question, targets))
            own = [torch.from_numpy(each.rows == questions.log.item[each.targets][:, None]) for each in asked]
            alone, with_ranking = (
                np.concatenate([gains(score(each), mine) for each, mine in zip(asked, own, strict=True)])
                for score in (lambda each: each.retrieval, ranked)
            )
            values[question] = _value(alone, with_ranking)
    return values


def gains(scores: Tensor, own: Tensor) -> NDArray[np.float64]:
    """NDCG@10 of each row's own item, [B]; one that is no candidate counts as missed, ties count against it."""
    target = scores.masked_fill(~own, torch.inf).amin(1, keepdim=True)
    ranks = (scores >= target).sum(1).numpy()
    found = own.any(1).numpy() & torch.isfinite(target[:, 0]).numpy() & (ranks <= TOP)
    return np.where(found, 1 / np.log2(np.maximum(ranks, 1) + 1.0), 0.0)


def _value(alone: NDArray[np.float64], ranked: NDArray[np.float64]) -> Value:
    return Value(float(alone.mean()), float(ranked.mean()), *interval_95(ranked - alone))
