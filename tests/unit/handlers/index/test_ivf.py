"""An index of lists against looking at every line."""

from __future__ import annotations

import pytest
import torch

from handlers.index.exact import Exact
from handlers.index.ivf import CODES, Ivf
from handlers.index.lists import Lists
from handlers.index.recall import best_scores, recall
from tests.unit.handlers.index.crowd import crowd, users_of

ITEMS = 20_000
K = 50
LINES = crowd(ITEMS)
LISTS = Lists.learned(LINES.vectors[1:], 200)
NOTHING = torch.empty((8, 0), dtype=torch.int64)


def index(probes, codes="int8"):
    return Ivf.over(LINES.vectors, LISTS, codes, probes, 1)


def assert_exact(found, lines, users, seen, k=K):
    """Equal scores, and slots that have them."""
    slots, scores = Exact().best(lines, users, seen, k)
    torch.testing.assert_close(found[1], scores)
    products = lines.vectors[found[0]] @ users.mT
    torch.testing.assert_close(products.amax(2), found[1])
    assert all(len(set(its)) == k for its in found[0].tolist())
    assert (found[0] == slots).float().mean() > 0.99


@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("interests", [1, 3])
def test_looking_into_every_list_is_exact(codes, interests):
    """However lines are stored and however many vectors a user has: the best are found once each, with their exact scores."""
    users = users_of(LINES, 8, interests)
    assert_exact(index(len(LISTS), codes).best(LINES, users, NOTHING, K), LINES, users, NOTHING)


def test_few_lists_find_nearly_all():
    """That is what they are for."""
    users = users_of(LINES, 64)[:, 0]
    exact = best_scores(Exact(), LINES, users, K)
    assert recall(index(len(LISTS)), LINES, users, exact) == 1.0
    few, more = (recall(index(probes), LINES, users, exact) for probes in (1, 50))
    assert few < 0.8
    assert more > 0.95


def test_what_is_hidden_or_seen_never_comes_back():
    """The best of all are hidden and the next best seen: the following ones come, and as many as were wanted."""
    users = users_of(LINES, 8)
    best, _ = Exact().best(LINES, users, NOTHING, 60)
    lines = LINES.hiding(best[:, :20].flatten())
    seen = torch.cat([best[:, 20:], torch.zeros((8, 5), dtype=torch.int64)], 1)
    found = index(len(LISTS)).best(lines, users, seen, K)
    assert_exact(found, lines, users, seen)
    assert not lines.hidden.unsqueeze(0).eq(found[0].flatten().unsqueeze(1)).any()


def test_a_query_gets_as_many_as_it_wants_if_there_are_so_many():
    """Where the lists looked into hold too few, every line is looked at for that query."""
    users = users_of(LINES, 8)
    assert_exact(index(1).best(LINES, users, NOTHING, 1000), LINES, users, NOTHING, 1000)


def test_nearly_all_hidden_still_gives_the_rest():
    """A catalogue in which hardly anything is available is looked at in full."""
    users = users_of(LINES, 8)
    lines = LINES.hiding(torch.arange(1, ITEMS - K))
    slots, scores = index(2).best(lines, users, NOTHING, K + 20)
    assert set(slots[0][scores[0] > -torch.inf].tolist()) == set(range(ITEMS - K, ITEMS + 1))


def test_a_line_appended_since_is_found_at_once():
    """It lies behind what the index covers, and whoever it suits gets it first; versions without it do not."""
    users = users_of(LINES, 8)
    lines = LINES.joined_by(users[:, 0] * 9)
    slots, _ = index(4).best(lines, users, NOTHING, K)
    assert set(slots[:, 0].tolist()) <= set(range(ITEMS + 1, ITEMS + 9))
    extended = index(len(LISTS)).extended(lines.vectors)
    assert extended.covered == len(lines.vectors)
    torch.testing.assert_close(extended.best(lines, users, NOTHING, K)[0][:, 0], slots[:, 0])
    before, _ = extended.best(LINES, users, NOTHING, K)
    assert before.max() <= ITEMS


def test_a_vector_of_zeros_has_no_say():
    """A user with fewer interests than the model has room for gets what those are worth."""
    users = users_of(LINES, 8, 3)
    users[:, 1:] = 0
    users[:, 0] *= -1
    found = index(len(LISTS)).best(LINES, users, NOTHING, K)
    torch.testing.assert_close(found[1], Exact().best(LINES, users[:, :1], NOTHING, K)[1])


def test_lists_are_found_by_way_of_groups():
    """Nearly every vector lies in the list of its nearest centre, and no list is empty."""
    vectors = LINES.vectors[1:]
    assigned = LISTS.assigned(vectors)
    nearest = torch.cdist(vectors, LISTS.centres).argmin(1)
    assert (assigned == nearest).float().mean() > 0.9
    assert len(assigned.unique()) == len(LISTS)
    assert Lists.of(LISTS.arrays()).assigned(vectors).equal(assigned)
