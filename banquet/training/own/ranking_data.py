"""What somebody's `ranking(data)` is given to learn from: moments at which a user took an item that retrieval had not learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from banquet.core.errors import BadModels
from banquet.training.candidates import Sampler, click_targets
from banquet.training.own.calling import asked, call, call_each
from banquet.training.own.retrieval_data import RetrievalData
from banquet.training.windows import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from banquet.training.moments import Moments
    from banquet.training.split import Split
    from banquet.training.train_retrieval import Scorer

    Ints = NDArray[np.int64]

# Of the other candidates, the share that are retrieval's very nearest.
NEAREST_SHARE = 0.5
# And the share from beyond retrieval's pool, where there is anything, so that a ranker also orders what retrieval would not have
# found. What is left stands for the rest of the pool.
FAR_SHARE = 0.2


@dataclass(frozen=True)
class RankingBatch:
    """B users, each just before a moment of theirs, with C candidates: all inputs as they were then.

    `user` has `user_categories` int64 [B, Uc] and `user_numbers` float32 [B, Un]; `history` and `candidates` are item inputs by
    name, [B, L, ...] and [B, C, ...]; mask float32 [B, L]; retrieval_scores float32 [B, C].
    """

    user: Mapping[str, Tensor]
    history: Mapping[str, Tensor]
    mask: Tensor
    candidates: Mapping[str, Tensor]
    retrieval_scores: Tensor

    def scores(self, ranker_items: nn.Module, ranker: nn.Module) -> Tensor:
        """[B, C], by the way that serving takes. Raises `BadModels` when the ranker gives another shape."""
        inputs = {
            **self.user,
            "mask": self.mask,
            "candidates": call_each(ranker_items, self.candidates),
            "retrieval_scores": self.retrieval_scores,
        }
        if "history" in asked(ranker):
            inputs["history"] = call_each(ranker_items, self.history) * self.mask[..., None]
        scores, wanted = call(ranker, inputs), self.retrieval_scores.shape
        if scores.shape != wanted:
            raise BadModels(
                f"the ranker gives shape {tuple(scores.shape)}; return one score per candidate: {tuple(wanted)}; "
                "a last dimension of 1 goes by `.squeeze(-1)`"
            )
        return scores


@dataclass(frozen=True)
class Example(RankingBatch):
    """A batch to learn from: the first candidate is the one that was taken.

    `worth` [B, C] is added to the logits of a cross-entropy: each sampled candidate stands for several, and one that the user has
    had, which a small catalogue cannot avoid, for none (-inf). `ratings` [B] are of the items taken, NaN where there is none.
    """

    worth: Tensor
    ratings: Tensor

    def loss(self, ranker_items: nn.Module, ranker: nn.Module) -> Tensor:
        """The mean cross-entropy of the item taken among the candidates."""
        logits = self.scores(ranker_items, ranker) + self.worth
        return functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64))


@dataclass(frozen=True)
class RankingData(RetrievalData):
    """As `RetrievalData`, and what ranking learns from. `score_mean` and `score_scale` are those of retrieval's best scores."""

    score_mean: float
    score_scale: float
    _moments: Moments
    _split: Split
    _scorer: Scorer
    _pool: int

    @property
    def user_category_sizes(self) -> tuple[int, ...]:
        """How many rows an embedding of each column of `user_categories` needs; 0 is unknown."""
        return tuple(len(feature.vocabulary) + 1 for feature in self.schema.user if feature.kind == "category")

    @property
    def user_width(self) -> int:
        """Columns of `user_numbers`."""
        return sum(feature.kind == "number" for feature in self.schema.user)

    def examples(self, rng: np.random.Generator, size: int, candidates: int = 64) -> Iterator[Example]:
        """One epoch, in batches of about `size`: what each user took, among retrieval's nearest and samples of all others."""
        moments = self._moments
        targets = click_targets(moments.log, self._split, rng)
        nearest = max(1, round(NEAREST_SHARE * (candidates - 1)))
        far = round(FAR_SHARE * (candidates - 1)) if moments.log.n_items > self._pool + 1 else 0
        sampler = Sampler(
            moments.log,
            self._split,
            self._scorer,
            moments.items,
            nearest=nearest,
            sampled=max(1, candidates - 1 - nearest - far),
            far=far,
            pool=self._pool,
            rng=rng,
        )
        for part in np.array_split(targets, max(1, round(len(targets) / size))):
            met = sampler.contest(part)
            nobody = torch.isinf(met.retrieval)
            batch = batch_at(moments, part, met.rows, met.retrieval.masked_fill(nobody, 0.0))
            yield Example(
                **{name: getattr(batch, name) for name in RankingBatch.__dataclass_fields__},
                worth=met.log_weight.masked_fill(nobody, -torch.inf),
                ratings=torch.from_numpy(moments.log.values[part]),
            )


def batch_at(moments: Moments, targets: Ints, rows: Ints, retrieval: Tensor, *, known: bool = True) -> RankingBatch:
    """Item rows [B, C] with their retrieval scores, at targets [B]: positions in the log, each just before its event.

    Nothing is known of users who are not `known`: no history and no features.
    """
    when = moments.log.moments[targets][:, None]
    categories, numbers = moments.user_inputs(targets, profile=np.full(targets.shape, known), activity=known)
    history = moments.history_rows(targets)
    user = {"user_categories": categories, "user_numbers": numbers}
    return batch_of(
        moments,
        {name: part for name, part in user.items() if part is not None},
        history if known else np.full((len(targets), 1), NOTHING),
        rows,
        when,
        retrieval,
    )


def batch_of(
    moments: Moments, user: Mapping[str, Tensor], history: Ints, rows: Ints, when: Ints, retrieval: Tensor
) -> RankingBatch:
    """`when` [B, 1] are moments in the order of all events."""
    mask = torch.from_numpy((history >= 0).astype(np.float32))
    return RankingBatch(user, _items_at(moments, history, when), mask, _items_at(moments, rows, when), retrieval)


def _items_at(moments: Moments, rows: Ints, when: Ints) -> dict[str, Tensor]:
    """Inputs of item rows, as they were at moments [B, 1]; of any item where a row is -1."""
    items = moments.items.take(torch.from_numpy(np.maximum(rows, 0)))
    activity = torch.from_numpy(moments.item_activity.at(rows, when))
    numbers = activity if items.numbers is None else torch.cat([items.numbers, activity], -1)
    parts = {"index": items.index, "categories": items.categories, "lists": items.lists, "numbers": numbers}
    return {name: part for name, part in parts.items() if part is not None and 0 not in part.shape[2:]}
