"""What callers ask, put to models whose answers are known."""

import numpy as np
import pytest
import torch

from banquet.training.encoding import Items
from banquet.training.questions import OTHERS, Questions, value_of_ranking
from banquet.training.split import split_by_time
from tests.unit.training.test_candidates import N_ITEMS, FixedScores, make_log


class Scorer(FixedScores):
    """As `FixedScores`; vectors on a circle, so that neighbours in number are near."""

    vectors = torch.stack([torch.cos(torch.arange(N_ITEMS) / 10.0), torch.sin(torch.arange(N_ITEMS) / 10.0)], 1)


@pytest.fixture
def questions() -> Questions:
    log = make_log()
    lists = torch.zeros(N_ITEMS, 2)
    lists[:, 0], lists[::5, 1] = 1.0, 1.0
    items = Items(torch.arange(1, N_ITEMS + 1), None, lists, None)
    return Questions(log, split_by_time(log), Scorer(), items, pool=12)


def finite(asked):
    return [row[torch.isfinite(score).numpy()] for row, score in zip(asked.rows, asked.retrieval, strict=True)]


@pytest.mark.parametrize("question", ["catalogue", "filtered", "slate", "page"])
def test_no_candidate_is_one_the_user_has_had(questions, question) -> None:
    """But the target may be one, in a caller's own list always."""
    log = questions.log
    (asked,) = questions.ask(question, questions.split.test)
    for target, rows in zip(asked.targets, finite(asked), strict=True):
        had = set(log.item[log.starts[log.user[target]] : target].tolist())
        assert not had & set(rows.tolist())
        assert question != "slate" or log.item[target] in rows
        assert len(rows) <= max(questions.pool, OTHERS + 1)


def test_a_filter_leaves_the_targets_rarest_category(questions) -> None:
    """Every fifth item is of the rare one."""
    (asked,) = questions.ask("filtered", questions.split.test)
    for target, rows in zip(asked.targets, finite(asked), strict=True):
        assert questions.log.item[target] % 5 != 0 or (rows % 5 == 0).all()


def test_of_strangers_nothing_is_known(questions) -> None:
    """They get the most popular, among which retrieval does not tell any apart."""
    (asked,) = questions.ask("no_history", questions.split.test)
    assert not asked.known
    assert not asked.before_ranking.any()
    counts = asked.retrieval[0]
    assert (counts[:-1] >= counts[1:]).all()


def test_ranking_that_turns_an_order_round_does_not_help(questions) -> None:
    """One that knows the target does; one that repeats retrieval brings nothing and costs nothing."""
    item, targets = questions.log.item, questions.split.test

    def knowing(asked):
        return torch.from_numpy((asked.rows == item[asked.targets][:, None]).astype(np.float32))

    assert all(value.helps and value.low > 0 for value in value_of_ranking(questions, targets, knowing).values())
    assert not any(value.helps for value in value_of_ranking(questions, targets, lambda asked: -knowing(asked)).values())
    same = value_of_ranking(questions, targets, lambda asked: asked.retrieval)
    assert {(value.helps, value.low, value.high) for value in same.values()} == {(True, 0.0, 0.0)}
