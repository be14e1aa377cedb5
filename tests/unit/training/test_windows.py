import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from banquet.training.activity import Log
from banquet.training.windows import cut_windows, history_before, items_at, positions_before


def test_an_epoch_predicts_every_place_but_the_first_exactly_once() -> None:
    """Wherever the windows are cut, each user's places from the second on are targets once."""
    starts, ends = np.array([0, 1, 3, 3]), np.array([1, 3, 3, 130])
    for seed in range(20):
        _, window_ends, fresh = cut_windows(starts, ends, 25, np.random.default_rng(seed))
        targets = np.concatenate([np.arange(end - new, end) for end, new in zip(window_ends, fresh, strict=True)])
        assert sorted(targets.tolist()) == [2, *range(4, 130)]
        assert fresh.min() >= 1
        assert fresh.max() <= 25


def test_histories_are_padded_on_the_left_and_stay_with_their_user(log) -> None:
    """Oldest first; what is not there is -1."""
    before = positions_before(log, np.array([0, 1]), np.array([6, 7]), 4)
    assert items_at(log, before).tolist() == [[2, 3, 4, 0], [-1, -1, -1, 1]]


@given(
    st.lists(st.lists(st.integers(0, 6), max_size=40), min_size=1, max_size=4),
    st.integers(1, 8),
    st.randoms(use_true_random=False),
)
def test_a_history_holds_different_items_as_serving_reads_it(users, length, chance) -> None:
    """Each where it was last before the moment, as many as there are room for, however often others came between."""
    item = np.array([item for items in users for item in items], np.int64)
    assume(len(item))
    user = np.repeat(np.arange(len(users)), [len(items) for items in users])
    starts = np.concatenate([[0], np.cumsum([len(items) for items in users])])
    log = Log(user, item, np.full(len(item), np.nan, np.float32), np.arange(len(item)), starts, 7)
    ends = np.array([chance.randint(int(starts[one]), int(starts[one + 1])) for one in range(len(users))])
    found = items_at(log, history_before(log, np.arange(len(users)), ends, length))
    for one, row in enumerate(found.tolist()):
        served = list(dict.fromkeys(reversed(item[starts[one] : ends[one]].tolist())))[:length]
        assert row == [-1] * (length - len(served)) + served[::-1]
