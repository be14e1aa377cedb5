"""Windows over the log: a stretch of a user's history and, place by place, what came next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from banquet.training.activity import Log

    Ints = NDArray[np.int64]

NOTHING = -1


def cut_windows(starts: Ints, ends: Ints, stride: int, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """Windows that together predict every position of starts[u]:ends[u] but the first once, cut anew at each call.

    Returns, per window [W], its user, its end (the position after its last) and how many of its last places it predicts.
    """
    targets = np.maximum(ends - starts - 1, 0)
    spare = rng.integers(0, np.maximum(np.minimum(stride, targets), 1))  # targets of the user's last, shorter window
    whole = -(-(targets - spare) // stride)
    user = np.repeat(np.arange(len(starts)), whole)
    nth = np.arange(len(user)) - np.repeat(np.cumsum(whole) - whole, whole)
    window_ends = (ends - spare)[user] - nth * stride
    fresh = np.minimum(stride, window_ends - starts[user] - 1)
    more = np.flatnonzero(spare)
    return np.concatenate([user, more]), np.concatenate([window_ends, ends[more]]), np.concatenate([fresh, spare[more]])


def positions_before(log: Log, users: Ints, ends: Ints, length: int) -> Ints:
    """Log positions of each user's last interactions before an end [B, length], oldest first, left-padded with -1."""
    positions = ends[:, None] + np.arange(-length, 0)
    return np.where(positions >= log.starts[users][:, None], positions, NOTHING)


def history_before(log: Log, users: Ints, ends: Ints, length: int) -> Ints:
    """Log positions of each user's last different items before an end [B, length], each at its newest place.

    Oldest first, left-padded with -1: the `history` that serving would have read then.
    """
    if not log.has_repeats:
        return positions_before(log, users, ends, length)
    depth = length
    while True:
        positions = positions_before(log, users, ends, depth)
        newest = (positions >= 0) & (log.next_with_item[positions] >= ends[:, None])
        if ((newest.sum(1) >= length) | (positions[:, 0] < 0)).all():
            break
        depth *= 2
    order = np.argsort(newest, axis=1, kind="stable")[:, -length:]
    return np.where(np.take_along_axis(newest, order, 1), np.take_along_axis(positions, order, 1), NOTHING)


def items_at(log: Log, positions: Ints) -> Ints:
    """Item rows at log positions, -1 where padded."""
    return np.where(positions < 0, NOTHING, log.item[positions])
