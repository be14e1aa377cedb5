import numpy as np

from banquet.training.windows import cut_windows, items_at, positions_before


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
