"""Full ranking: every item of the catalogue the user has not had competes with the one the user really took next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from banquet.core.errors import BadData
from banquet.training.split import FEWEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from banquet.training.activity import Log
    from banquet.training.split import Split

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float32]

PROTOCOL = (
    "leave the last out, full ranking: each user's last interaction (test) or last but one (valid) among all items that are not "
    "in the user's history up to then; targets the user had had before are left out; ties count against the model"
)
TOP = 10
Z_95 = 1.96
DEEP = 500
USERS_AT_ONCE = 256
# What comes next is learned from what came before it.
FEWEST_TO_LEARN_FROM = 2
# Of all interactions, those with popular items.
POPULAR_SHARE = 0.5


@dataclass
class Ranks:
    """Where each target landed (1 = best), and which items were in anybody's top 10."""

    ranks: list[Ints] = field(default_factory=list)
    shown: set[int] = field(default_factory=set)

    def add(self, scores: Floats, targets: Ints) -> None:
        """Scores [B, N], -inf for what must not be served; targets [B]."""
        target = np.take_along_axis(scores, targets[:, None], 1)
        self.ranks.append((~(scores < target)).sum(1))
        top = np.argpartition(-scores, min(TOP, scores.shape[1] - 1), 1)[:, :TOP]
        self.shown.update(top[np.isfinite(np.take_along_axis(scores, top, 1))].tolist())

    def metrics(self, n_items: int) -> dict[str, float]:
        ranks = np.concatenate(self.ranks) if self.ranks else np.array([np.iinfo(np.int64).max])
        hit = ranks <= TOP
        return {
            "hr@10": float(hit.mean()),
            "ndcg@10": float((hit / np.log2(ranks + 1.0)).mean()),
            "recall@500": float((ranks <= DEEP).mean()),
            "coverage": len(self.shown) / n_items,
        }


def unseen_targets(log: Log, targets: Ints) -> Ints:
    """The targets that their user had not had before: nobody is served what they have had."""
    fresh: Ints = targets[log.first_had(log.user[targets], log.item[targets]) == targets]
    return fresh


def are_popular(counts: Floats) -> NDArray[np.bool_]:
    """Which items [N] are the most popular, by their interactions [N]: those that together have half of all."""
    falling = np.sort(counts)[::-1]
    cumulated = np.cumsum(falling, dtype=np.float64)
    least = falling[int(np.searchsorted(cumulated, POPULAR_SHARE * cumulated[-1]))]
    popular: NDArray[np.bool_] = counts >= least
    return popular


def require_targets(name: str, log: Log, split: Split) -> None:
    """Raises `BadData` when there is nothing to learn from, to choose a model by, or to say how good it is by."""
    if not len(split.test):
        raise BadData(f"dataset {name}: no user has at least {FEWEST} interactions; import more")
    for targets, which in ((split.valid, "last but one"), (split.test, "last")):
        if not len(unseen_targets(log, targets)):
            raise BadData(
                f"dataset {name}: nobody's {which} interaction is with an item new to them, by which models are measured;"
                " import more users or items"
            )
    if (split.retrieval_end - log.starts[:-1]).max() < FEWEST_TO_LEARN_FROM:
        raise BadData(
            f"dataset {name}: beside what models are measured by, nobody has {FEWEST_TO_LEARN_FROM} interactions to learn from;"
            f" import more, of some users at least {FEWEST + 1}"
        )


def in_batches(targets: Ints, size: int = USERS_AT_ONCE) -> Iterator[Ints]:
    yield from (targets[start : start + size] for start in range(0, len(targets), size))


def hide_seen(log: Log, targets: Ints, scores: Floats) -> None:
    """Scores [B, N] of what each target's user had before it become -inf, in place."""
    for row, target in enumerate(targets.tolist()):
        scores[row, log.item[log.starts[log.user[target]] : target]] = -np.inf


def rank_all(log: Log, targets: Ints, score: Callable[[Ints], Floats]) -> dict[str, float]:
    """Metrics of a model that gives every item a score: log positions [B] -> scores [B, N]."""
    ranks = Ranks()
    for batch in in_batches(targets):
        scores = score(batch)
        hide_seen(log, batch, scores)
        ranks.add(scores, log.item[batch])
    return ranks.metrics(log.n_items)


def interval_95(values: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of the mean of values [U], such as paired differences of users."""
    mean, spread = float(values.mean()), float(Z_95 * values.std() / len(values) ** 0.5)
    return mean - spread, mean + spread


def auc(labels: NDArray[np.bool_], scores: Floats) -> float:
    """The chance that a positive scores higher than a negative; half of a tie. 0.5 when there are none of either."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return 0.5
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2.0
    return float((middle[place][labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def log_loss(labels: NDArray[np.bool_], chances: NDArray[np.floating]) -> float:
    """Mean surprise at the labels; 0.0 when there are none."""
    if not len(labels):
        return 0.0
    safe = np.clip(chances.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-np.where(labels, np.log(safe), np.log1p(-safe)).mean())
