"""The best of what a filter allows, against sorting it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.index import exact, few, ivf
from handlers.index.exact import Exact
from handlers.index.ivf import Ivf
from handlers.index.lists import Lists
from tests.unit.handlers.index.crowd import crowd, users_of

ITEMS = 2000
LINES = crowd(ITEMS)
LISTS = Lists.learned(LINES.vectors[1:], 40)
# All lists are looked into: whatever is missing then was lost by the filter.
ALL_LISTS = Ivf.over(LINES.vectors, LISTS, "int8", len(LISTS), 1)
MANY = crowd(20_000, seed=5)
MANY_LISTS = Lists.learned(MANY.vectors[1:], 300)

queries = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.002, 0.1, 0.5, 1.0]),  # the share that the filter allows
        st.integers(0, 6),  # how many of the best are seen
    ),
    min_size=1,
    max_size=4,
)


def brute(lines, user, slots, seen, k):
    """Scores of the best, by a loop and a sort."""
    scores = {slot: max((lines.vectors[slot] @ vector).item() for vector in user) for slot in slots.tolist()}
    return sorted((score for slot, score in scores.items() if slot not in seen.tolist()), reverse=True)[:k]


def share_of(lines, share, draw):
    return (lines.shown & (torch.rand(len(lines.vectors), generator=draw) < share)).nonzero()[:, 0]


@pytest.mark.parametrize(("index", "least"), [(Exact(), 0), (Exact(), 10**9), (ALL_LISTS, 0)], ids=["few", "all", "lists"])
@given(queries=queries, interests=st.integers(1, 3), k=st.integers(0, 60), seed=st.integers(0, 99), behind=st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_best_of_what_is_allowed_are_found_exactly(monkeypatch, index, least, queries, interests, k, seed, behind):
    """Whichever way is taken: the same scores as a sort gives, slots that are allowed, unseen, each once; then nothing."""
    monkeypatch.setattr(exact, "LEAST", least)
    monkeypatch.setattr(few, "CHUNK", 100)
    # Lists rather than one by one wherever there is anything to find.
    monkeypatch.setattr(ivf, "FEW", 0.0)
    draw = torch.Generator().manual_seed(seed)
    lines = LINES.hiding(torch.randint(1, ITEMS, (100,), generator=draw))
    lines = lines.joined_by(torch.randn((30, lines.vectors.shape[1]), generator=draw)) if behind else lines
    users = users_of(LINES, len(queries), interests, seed)
    allowed = [share_of(lines, share, draw) for share, _ in queries]
    k = min(k, max(map(len, allowed)))
    seen = torch.zeros((len(queries), 6), dtype=torch.int64)
    for place, (slots, (_, count)) in enumerate(zip(allowed, queries, strict=True)):
        its = slots[torch.randperm(len(slots), generator=draw)[:count]]
        seen[place, : len(its)] = its
    slots, scores = index.best(lines, users, seen, k, allowed)
    assert slots.shape == scores.shape == (len(queries), k)
    for place, its in enumerate(allowed):
        wanted = torch.tensor(brute(lines, users[place], its, seen[place], k))
        found = slots[place, : len(wanted)]
        torch.testing.assert_close(scores[place, : len(wanted)], wanted, atol=1e-4, rtol=1e-4)
        assert scores[place, len(wanted) :].isneginf().all()
        assert len(set(found.tolist())) == len(wanted)
        assert set(found.tolist()) <= set(its.tolist()) - set(seen[place].tolist())


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2, 0.05])
@pytest.mark.parametrize("cut", ["anywhere", "by taste"])
def test_few_lists_find_nearly_all_that_is_allowed(share, cut):
    """A filter that has to do with what users like leaves the lists nearest to them empty; then more of them are looked into."""
    users, k = users_of(MANY, 16), 50
    index = Ivf.over(MANY.vectors, MANY_LISTS, "int8", 30, 1)
    slots = share_of(MANY, share, torch.Generator().manual_seed(1))
    if cut == "by taste":
        # One side of a plane through the tastes.
        along = MANY.vectors[:, 0]
        slots = (MANY.shown & (along <= along[1:].quantile(share))).nonzero()[:, 0]
    seen, allowed = torch.zeros((16, 1), dtype=torch.int64), [slots] * 16
    best, found = (one.best(MANY, users, seen, k, allowed)[1] for one in (Exact(), index))
    last = best[:, -1:]
    assert (found >= last - 1e-5 * last.abs()).float().mean() >= 0.99


def test_a_broad_filter_is_looked_up_in_lists_and_a_narrow_one_is_not(monkeypatch):
    """Each takes what it is quicker with."""
    users, seen = users_of(MANY, 1), torch.zeros((1, 1), dtype=torch.int64)
    index, asked = Ivf.over(MANY.vectors, MANY_LISTS, "int8", 4, 1), []
    look_up = index._looked_up_among
    monkeypatch.setattr(index, "_looked_up_among", lambda *given: asked.append(len(given[4])) or look_up(*given))
    draw = torch.Generator().manual_seed(1)
    for share in (0.9, 0.01):
        index.best(MANY, users, seen, 20, [share_of(MANY, share, draw)])
    assert len(asked) == 1
    assert asked[0] > 0.8 * len(MANY.vectors)
