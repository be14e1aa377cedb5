"""The numbers a release is judged by, each model beside its baselines, on the test targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from banquet.training.baselines import Markov, Popularity, logistic_regression, one_hot
from banquet.training.cascade import metrics_of
from banquet.training.evaluate import PROTOCOL, auc, log_loss, rank_all, unseen_targets
from banquet.training.questions import value_of_ranking
from banquet.training.split import is_trained_on

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from banquet.training.activity import Log
    from banquet.training.course import Ranking
    from banquet.training.questions import Questions
    from banquet.training.split import Split
    from banquet.training.train_retrieval import Scorer

    Ints = NDArray[np.int64]
    Mask = NDArray[np.bool_]

# Rows that logistic regression learns from at most.
MOST_ROWS = 2_000_000
# Users whom every question is asked for, to find out what ranking brings to it.
MOST_ASKED = 2_000
# Where nothing is rated, each item taken is told from so many others, drawn by popularity.
OTHERS = 4


@dataclass(frozen=True)
class Judged:
    """Items to be told apart: `targets` (log positions) say who and when, `rows` which item, `positive` the truth; all [R]."""

    targets: Ints
    rows: Ints
    positive: Mask


def measure_retrieval(log: Log, split: Split, scorer: Scorer) -> dict[str, Any]:
    """The retrieval model, popularity and Markov-1 under the same protocol."""
    targets = unseen_targets(log, split.test)
    return {
        "protocol": PROTOCOL,
        "targets": len(targets),
        "model": rank_all(log, targets, scorer),
        "model_on_valid": rank_all(log, unseen_targets(log, split.valid), scorer),
        "popularity": rank_all(log, targets, Popularity(log, split)),
        "markov": rank_all(log, targets, Markov(log, split)),
    }


def measure_ranking(cascade: Ranking, questions: Questions, rng: np.random.Generator) -> dict[str, Any]:
    """Both models together, and the ranking model beside logistic regression on what it tells apart."""
    log, split = questions.log, questions.split
    by_likes = cascade.tells_likes and _are_rated(log, split)
    train, test = (_likes if by_likes else _clicks)(log, split, rng)
    served, like = cascade.of_rows(test.targets, test.rows[:, None])
    train_rows, test_rows = (one_hot(log, part.targets, part.rows, _activity(cascade, part)) for part in (train, test))
    chances = logistic_regression(train_rows, train.positive, test_rows)
    model = {"auc": auc(test.positive, (like if by_likes else served)[:, 0])}
    if by_likes:
        model["log_loss"] = log_loss(test.positive, 1 / (1 + np.exp(-like[:, 0])))
    return {
        "cascade": metrics_of(log, questions.ask("catalogue", unseen_targets(log, split.test)), cascade.of_asked),
        "weights": cascade.weights(),
        "task": "liked or not, among the rated" if by_likes else f"taken or one of {OTHERS} drawn by popularity",
        "rows": len(test.rows),
        "model": model,
        "logistic_regression": {"auc": auc(test.positive, chances), "log_loss": log_loss(test.positive, chances)},
    }


def measure_questions(cascade: Ranking, questions: Questions, rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    """What ranking brings to each question on the validation targets; it is left out of one that it makes worse."""
    valid = rng.permutation(unseen_targets(questions.log, questions.split.valid))[:MOST_ASKED]
    values = value_of_ranking(questions, valid, cascade.of_asked)
    return {question: {**value.as_json(), "left_out": not value.helps} for question, value in values.items()}


def quality(cascade: Ranking, questions: Questions, seed: int) -> dict[str, float]:
    """The two numbers that a release made smaller must keep; the same seed judges the same items."""
    log, split = questions.log, questions.split
    by_likes = _are_rated(log, split)
    _, test = (_likes if by_likes else _clicks)(log, split, np.random.default_rng(seed))
    served, like = cascade.of_rows(test.targets, test.rows[:, None])
    return {
        "ndcg@10": metrics_of(log, questions.ask("catalogue", unseen_targets(log, split.test)), cascade.of_asked)["ndcg@10"],
        "auc": auc(test.positive, (like if by_likes else served)[:, 0]),
    }


def _are_rated(log: Log, split: Split) -> bool:
    return bool((~np.isnan(log.values[split.test])).any())


def _likes(log: Log, split: Split, _: np.random.Generator) -> tuple[Judged, Judged]:
    rated = ~np.isnan(log.values)
    train, test = _trained(log, split), split.test
    train, test = train[rated[train]][:MOST_ROWS], test[rated[test]]
    return tuple(Judged(part, log.item[part], log.liked[part]) for part in (train, test))  # type: ignore[return-value]


def _clicks(log: Log, split: Split, rng: np.random.Generator) -> tuple[Judged, Judged]:
    train = _trained(log, split)[: MOST_ROWS // (1 + OTHERS)]
    chances = Popularity(log, split).counts.astype(np.float64)
    chances /= chances.sum()

    def among_others(targets: Ints) -> Judged:
        others = rng.choice(log.n_items, (len(targets), OTHERS), p=chances)
        rows = np.concatenate([log.item[targets][:, None], others], 1)
        # Nobody is served what they have had, and the one taken is no negative.
        allowed = log.first_had(log.user[targets][:, None], rows) > targets[:, None]
        allowed[:, 0] = True
        positive = np.tile(np.arange(1 + OTHERS) == 0, (len(targets), 1))
        return Judged(np.repeat(targets, allowed.sum(1)), rows[allowed], positive[allowed])

    return among_others(train), among_others(unseen_targets(log, split.test))


def _trained(log: Log, split: Split) -> Ints:
    return np.flatnonzero(is_trained_on(log, split))


def _activity(cascade: Ranking, judged: Judged) -> NDArray[np.float32]:
    """The counters of user and item just before, scaled [R, A]."""
    moments, log = cascade.moments, cascade.moments.log
    when = log.moments[judged.targets]
    return np.concatenate(
        [moments.user_activity.at(log.user[judged.targets], when), moments.item_activity.at(judged.rows, when)], 1
    )
