import numpy as np

from banquet.training.evaluate import unseen_targets
from banquet.training.split import split_by_time


def test_every_part_comes_after_the_one_before_it(log) -> None:
    """Per user in time order: retrieval's part, ranking's clicks, validation, test."""
    split = split_by_time(log)
    for user in np.unique(log.user[split.test]):
        ends = [split.retrieval_end[user], split.train_end[user], split.valid[user] + 1, split.test[user] + 1]
        assert log.starts[user] < ends[0] < ends[1] < ends[2] < ends[3] == log.starts[user + 1]


def test_users_with_little_are_only_trained_on(log) -> None:
    """A user with nothing at all, or too little, has no targets and loses nothing to them."""
    split = split_by_time(log)
    assert set(log.user[split.test]) == {0, 1}
    assert split.train_end[2] == log.starts[3]


def test_what_a_user_had_before_is_no_target(log) -> None:
    """Ann's last item was her first one as well: nothing that hides seen items could find it."""
    assert unseen_targets(log, split_by_time(log).test).tolist() == [9]
