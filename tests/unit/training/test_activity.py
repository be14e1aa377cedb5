import numpy as np
import pytest

from banquet.core.errors import BadData
from banquet.training.activity import Counters, read_log
from banquet.training.datasets.dataset import assemble


def test_a_users_interactions_stand_together_in_time_order(log) -> None:
    """The log has user after user; impressions are not in it."""
    assert log.item.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 0]
    assert log.starts.tolist() == [0, 6, 10, 10]


def test_counters_know_only_what_came_before(log) -> None:
    """An event does not count itself; without a rating the mean is unknown."""
    before = log.user_counters.before(log.user, log.moments)
    assert before[:6, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert before[:6, 1].tolist() == [0, 1, 2, 2, 3, 4]
    assert np.isnan(before[0, 2])
    assert before[1:4, 2].tolist() == [5.0, 4.5, 4.5]


def test_counters_of_many_items_at_one_moment() -> None:
    """Shapes broadcast: each owner at each moment, in the order of time."""
    counters = Counters.of(np.array([0, 1, 0]), np.array([5.0, np.nan, 1.0], np.float32))
    after = counters.before(np.array([[0, 1, 2]]), np.array([[0], [1], [3]]))
    assert after[..., 0].tolist() == [[0, 0, 0], [1, 0, 0], [2, 1, 0]]
    assert after[2, 0].tolist() == [2.0, 2.0, 3.0]


def test_liked_is_four_fifths_of_the_scale(log) -> None:
    """Four of five stars are liked; a click is not."""
    assert np.flatnonzero(log.liked).tolist() == [0, 1, 4]


def test_only_impressions_are_nothing_to_learn_from(handmade) -> None:
    """The error names the file and what to import."""
    seen = handmade.interactions.filter([kind == "impression" for kind in handmade.interactions["event_type"].to_pylist()])
    with pytest.raises(BadData, match=r"interactions\.parquet has no click"):
        read_log(assemble("seen", seen, handmade.users, handmade.items))


def test_when_a_user_first_had_an_item(log) -> None:
    """Ann had item a at once, Bob at last, Eve never."""
    assert log.first_had(np.array([0, 1, 2]), np.array([0, 0, 0])).tolist() == [0, 9, len(log)]
