import numpy as np
import pytest
from scipy import sparse

from banquet.core.errors import BadData
from banquet.training.activity import read_log
from banquet.training.baselines import Markov, Popularity, logistic_regression
from banquet.training.datasets.dataset import assemble
from banquet.training.evaluate import are_popular, auc, log_loss, rank_all, require_targets
from banquet.training.split import split_by_time
from tests.unit.training.conftest import events_of


def test_popular_items_have_half_of_all_interactions() -> None:
    """The fewest that do, and whatever is as popular as the last of them."""
    assert are_popular(np.array([1, 5, 2, 0], np.float32)).tolist() == [False, True, False, False]
    assert are_popular(np.array([3, 3], np.float32)).tolist() == [True, True]


def test_ties_count_against_the_model(log) -> None:
    """A model that says the same of every item finds nothing in particular."""
    metrics = rank_all(log, np.array([9]), lambda targets: np.zeros((len(targets), 20), np.float32))
    assert metrics["hr@10"] == 0.0


def test_seen_items_do_not_compete(log) -> None:
    """Bob has had b c d: of the six items, a e f compete, and the second best of them is second."""
    scores = np.array([[2, 9, 9, 9, 3, 1]], np.float32)
    metrics = rank_all(log, np.array([9]), lambda _: scores.copy())
    assert metrics["ndcg@10"] == pytest.approx(1 / np.log2(3))
    assert metrics["coverage"] == pytest.approx(3 / 6)


def test_popularity_counts_training_alone(log) -> None:
    """Without each user's last two: Ann a b c d, Bob b c."""
    assert Popularity(log, split_by_time(log)).counts.tolist() == [1, 2, 2, 1, 0, 0]


def test_markov_follows_the_last_item(log) -> None:
    """After c came d in training; where nothing followed, popularity decides."""
    scores = Markov(log, split_by_time(log))(np.array([8, 9]))
    assert scores[0].argmax() == 3
    assert scores[1].argmax() in {1, 2}


def test_auc_is_the_chance_to_be_in_order() -> None:
    """Of the four pairs, one is in the wrong order and one is tied."""
    labels = np.array([True, True, False, False])
    assert auc(labels, np.array([3, 1, 1, 2], np.float32)) == pytest.approx(2.5 / 4)
    assert auc(np.ones(3, bool), np.arange(3, dtype=np.float32)) == 0.5


def test_log_loss_of_certainty_is_finite() -> None:
    """A wrong certain answer costs much, not everything."""
    assert 10 < log_loss(np.array([True]), np.array([0.0], np.float32)) < 20


def test_logistic_regression_learns_an_obvious_rule() -> None:
    """One column decides; its sign comes out. Where all labels are alike there is nothing to learn."""
    column = np.repeat([1.0, -1.0], 50)[:, None]
    chances = logistic_regression(sparse.csr_matrix(column), column[:, 0] > 0, sparse.csr_matrix([[1.0], [-1.0]]))
    assert chances[0] > 0.8
    assert chances[1] < 0.2
    alike = logistic_regression(sparse.csr_matrix(column), np.ones(100, bool), sparse.csr_matrix([[1.0]]))
    assert alike.tolist() == [1.0]


@pytest.mark.parametrize(
    ("histories", "message"),
    [
        (["abc", "ab"], "no user has at least 4 interactions; import more"),
        (["abcdb", "bcdec"], "nobody's last interaction is with an item new to them"),
        (["abab", "babab"], "nobody's last but one interaction is with an item new to them"),
        (["abcd", "bcda"], "nobody has 2 interactions to learn from; import more, of some users at least 5"),
    ],
)
def test_too_little_to_learn_from_is_said_before_training(histories: list[str], message: str) -> None:
    """In one line that says what is missing; a longer history, or a short one beside it, is enough."""
    rows = [(f"u{user}", item, "click", None) for user, items in enumerate(histories) for item in items]
    few = read_log(assemble("few", events_of(*rows)))
    with pytest.raises(BadData, match=message):
        require_targets("few", few, split_by_time(few))
    for more in ("abcde", "fghijk"):
        enough = read_log(assemble("enough", events_of(*rows, *(("u9", item, "click", None) for item in more))))
        require_targets("enough", enough, split_by_time(enough))
