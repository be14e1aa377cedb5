"""The split: per user, by time. The last interaction tests, the one before validates, a few before teach the ranking model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from banquet.training.activity import Log

    Ints = NDArray[np.int64]

# What retrieval never trains on, so that its scores are as honest to the ranking model in training as they will be in serving.
HELD_BACK_SHARE = 0.1
HELD_BACK_MOST = 10
# A user with fewer interactions only trains retrieval.
FEWEST = 4


@dataclass(frozen=True)
class Split:
    """Positions in the log. Retrieval learns from starts[u]:retrieval_end[u], ranking's clicks are retrieval_end[u]:train_end[u].

    `valid` and `test` [<= U] are the positions of one target per user that has enough interactions.
    """

    retrieval_end: Ints
    train_end: Ints
    valid: Ints
    test: Ints


def split_by_time(log: Log) -> Split:
    enough, ends = _enough(log), log.starts[1:]
    train_end = np.where(enough, ends - 2, ends)
    return Split(_retrieval_end(log, train_end), train_end, train_end[enough], train_end[enough] + 1)


def split_of_everything(log: Log) -> Split:
    """Nothing is kept for validation and test: for training once more what was measured already."""
    ends, nobody = log.starts[1:], np.zeros(0, np.int64)
    return Split(_retrieval_end(log, ends), ends, nobody, nobody)


def is_trained_on(log: Log, split: Split) -> NDArray[np.bool_]:
    """Which interactions models may train on, [E]."""
    trained: NDArray[np.bool_] = np.arange(len(log)) < split.train_end[log.user]
    return trained


def trained_counts(log: Log, split: Split) -> NDArray[np.float32]:
    """How often each item was taken in what models may train on, [N]: its popularity."""
    return np.bincount(log.item[is_trained_on(log, split)], minlength=log.n_items).astype(np.float32)


def _enough(log: Log) -> NDArray[np.bool_]:
    return np.diff(log.starts) >= FEWEST


def _retrieval_end(log: Log, train_end: Ints) -> Ints:
    held_back = np.clip(((train_end - log.starts[:-1]) * HELD_BACK_SHARE).astype(np.int64), 1, HELD_BACK_MOST)
    return np.where(_enough(log), train_end - held_back, train_end)
