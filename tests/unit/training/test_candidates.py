"""Candidates near and far, each weighted for how many it stands for."""

import numpy as np
import pytest
import torch

from banquet.training.activity import Log
from banquet.training.candidates import Sampler
from banquet.training.encoding import Items
from banquet.training.split import split_by_time

N_ITEMS, N_USERS, LENGTH = 40, 30, 8


def make_log() -> Log:
    rng = np.random.default_rng(3)
    item = np.concatenate([rng.choice(N_ITEMS, LENGTH, replace=False) for _ in range(N_USERS)])
    user = np.repeat(np.arange(N_USERS), LENGTH)
    starts = np.arange(N_USERS + 1) * LENGTH
    return Log(user, item, np.full(len(item), np.nan, np.float32), np.arange(len(item)), starts, N_ITEMS)


class FixedScores:
    """Every user scores an item by its number."""

    def __call__(self, targets):
        return np.tile(np.arange(N_ITEMS, dtype=np.float32), (len(targets), 1))


@pytest.fixture
def sampler() -> Sampler:
    log = make_log()
    lists = torch.zeros(N_ITEMS, 4)
    lists[torch.arange(N_ITEMS), torch.arange(N_ITEMS) % 4] = 1.0
    items = Items(torch.arange(1, N_ITEMS + 1), None, lists, None)
    rng = np.random.default_rng(5)
    return Sampler(log, split_by_time(log), FixedScores(), items, nearest=3, sampled=4, far=6, pool=10, rng=rng)


def test_the_weights_stand_for_the_whole_catalogue(sampler) -> None:
    """In the mean over many draws the weighted candidates sum up to all items the user has not had."""
    targets = np.repeat(sampler.split.test[:1], 400)
    totals = []
    for _ in range(30):
        met = sampler.contest(targets)
        counted = torch.where(torch.isinf(met.retrieval), 0.0, met.log_weight.exp())
        plain = counted.sum(1)
        totals.append(plain)
    # Filtered slates stand for their category alone, so only the largest total is of the whole catalogue.
    whole = torch.stack([total.max() for total in totals]).mean()
    assert float(whole) == pytest.approx(N_ITEMS - (LENGTH - 1), rel=0.15)


def test_nobody_competes_twice_or_is_had(sampler) -> None:
    """The item taken stands first; what its user has had before is no candidate; what is in the pool does not come from afar."""
    log, targets = sampler.log, sampler.split.test
    met = sampler.contest(targets)
    for row, target in enumerate(targets.tolist()):
        had = set(log.item[log.starts[log.user[target]] : target].tolist())
        there = [item for item, score in zip(met.rows[row], met.retrieval[row], strict=True) if torch.isfinite(score)]
        assert there[0] == log.item[target]
        assert not had & set(there)
        assert log.item[target] not in there[1:]


def test_some_candidates_are_as_a_filter_finds_them(sampler) -> None:
    """All share a category with the item taken, for a share of the targets."""
    targets = np.repeat(sampler.split.test[:1], 300)
    met = sampler.contest(targets)
    narrow = 0
    for row, score in zip(met.rows, met.retrieval, strict=True):
        there = row[torch.isfinite(score).numpy()]
        narrow += len(set((there % 4).tolist())) == 1
    assert 0.2 < narrow / len(targets) < 0.45
