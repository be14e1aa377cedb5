"""What the models must beat: popularity and Markov-1 for retrieval, one-hot logistic regression for ranking."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from banquet.training.split import trained_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from banquet.training.activity import Log
    from banquet.training.split import Split

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float32]

# So small that one pair counts for more than all popularity: it only orders what never followed.
POPULARITY_SHARE = 1e-7


class Popularity:
    """Every user gets the items with most interactions. Counts what all models may train on."""

    def __init__(self, log: Log, split: Split) -> None:
        self.counts = trained_counts(log, split)

    def __call__(self, targets: Ints) -> Floats:
        return np.tile(self.counts, (len(targets), 1))


class Markov:
    """What most often followed the user's last item; popularity among what never did."""

    def __init__(self, log: Log, split: Split) -> None:
        self._log = log
        self._popularity = Popularity(log, split).counts
        self._follows = successions(log, split)

    def __call__(self, targets: Ints) -> Floats:
        scores: Floats = self._follows[self._log.item[targets - 1]].toarray()
        return scores + POPULARITY_SHARE * self._popularity


def successions(log: Log, split: Split) -> sparse.csr_matrix:
    """How often each item came right after each other one in what models may train on, [N, N]."""
    places = np.arange(1, len(log))
    inside = (log.user[1:] == log.user[:-1]) & (places < split.train_end[log.user[1:]])
    before, after = log.item[:-1][inside], log.item[1:][inside]
    return sparse.coo_matrix((np.ones(len(before), np.float32), (before, after)), (log.n_items, log.n_items)).tocsr()


def one_hot(log: Log, targets: Ints, rows: Ints, counters: Floats) -> sparse.csr_matrix:
    """Rows for logistic regression: one-hot user, one-hot item, and the counters [R, A] of both beside them."""
    places, ones = np.arange(len(rows)), np.ones(len(rows), np.float32)
    users = sparse.csr_matrix((ones, (places, log.user[targets])), (len(rows), log.n_users))
    items = sparse.csr_matrix((ones, (places, rows)), (len(rows), log.n_items))
    return sparse.hstack([users, items, sparse.csr_matrix(counters)], format="csr")


def logistic_regression(train: sparse.csr_matrix, labels: NDArray[np.bool_], test: sparse.csr_matrix) -> Floats:
    """Chances [T] that the test rows are positive; what is known of the training rows alone, when all are alike."""
    if labels.all() or not labels.any():
        return np.full(test.shape[0], float(labels.any()), np.float32)
    model = LogisticRegression(C=1.0, solver="lbfgs", max_iter=100, tol=1e-3).fit(train, labels)
    chances: Floats = model.predict_proba(test)[:, 1].astype(np.float32)
    return chances
