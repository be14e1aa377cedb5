"""The random world behind synthetic data: genres, items that follow items, users whose favourites drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

FOLLOWERS = 4  # items that tend to come next, per item
FOLLOW, FAVOURITE = 0.35, 0.40  # how the next item is chosen; the rest is popularity
TRIES = 6  # draws for an item that the user has not had yet
SEEN_CELLS = 200_000_000  # bytes of the users x items table in memory at a time


@dataclass(frozen=True, slots=True)
class World:
    """What the events are drawn from.

    genre, quality [I], followers [I, FOLLOWERS]; by_genre: the items of each genre, best known first; weights: their cumulated
    chances; favourites [U, 3]; drift [U, 2]: the shares of a user's events after which the next favourite begins.
    """

    genre: Ints
    quality: Floats
    followers: Ints
    by_genre: list[Ints]
    weights: list[Floats]
    favourites: Ints
    drift: Floats


def make_world(users: int, items: int, genres: int, rng: np.random.Generator) -> World:
    genre = rng.permutation(np.arange(items) % genres)
    quality = rng.normal(size=items)
    order = rng.permutation(items)  # how well known each item is, apart from how good it is
    by_genre = [order[genre[order] == g] for g in range(genres)]
    weights = [np.cumsum(1.0 / np.arange(2, len(members) + 2)) for members in by_genre]
    followers = np.empty((items, FOLLOWERS), np.int64)
    for members in by_genre:  # three within the genre, one anywhere: chains that mostly stay in taste
        followers[members, :3] = rng.choice(members, (len(members), 3))
    followers[:, 3] = rng.integers(0, items, items)
    favourites = rng.permuted(np.tile(np.arange(genres), (users, 1)), axis=1)[:, :3]
    drift = np.sort(rng.uniform(0.2, 0.9, (users, 2)), axis=1)
    return World(genre, quality, followers, by_genre, [w / w[-1] for w in weights], favourites, drift)


def draw_lengths(users: int, items: int, events: int, rng: np.random.Generator) -> Ints:
    """Events per user [U]: a few busy users, many quiet ones, at least 1 and at most 3/4 of the items each."""
    most = max(items * 3 // 4, -(-events // users))
    share: Floats = rng.lognormal(0.0, 0.7, users)
    lengths: Ints = np.clip((share / share.sum() * events).astype(np.int64), 1, most)
    while (missing := events - int(lengths.sum())) != 0:
        open_ = np.flatnonzero(lengths < most) if missing > 0 else np.flatnonzero(lengths > 1)
        lengths[rng.permutation(open_)[: abs(missing)]] += np.sign(missing)
    return lengths


def draw_items(world: World, lengths: Ints, items: int, rng: np.random.Generator) -> Ints:
    """The items taken, user after user, each user's in order. All users of a block take their k-th step together."""
    starts = np.cumsum(lengths) - lengths
    taken = np.empty(int(lengths.sum()), np.int64)
    block = max(1, SEEN_CELLS // items)
    for first in range(0, len(lengths), block):
        users = np.arange(first, min(first + block, len(lengths)))
        users = users[np.argsort(-lengths[users], kind="stable")]  # those who still take are always the first so many
        seen = np.zeros((len(users), items), bool)
        previous = np.full(len(users), -1)
        for step in range(int(lengths[users[0]])):
            active = int(np.searchsorted(-lengths[users], -step, side="left"))
            now = users[:active]
            chosen = _choose(world, now, step / lengths[now], previous[:active], seen=seen[:active], rng=rng)
            seen[np.arange(active), chosen] = True
            previous[:active] = chosen
            taken[starts[now] + step] = chosen
    return taken


def _choose(
    world: World, users: Ints, progress: Floats, previous: Ints, *, seen: NDArray[np.bool_], rng: np.random.Generator
) -> Ints:
    """The next item [U] of users who have had the share `progress` of their events; never one that is `seen`."""
    favourite: Ints = world.favourites[users, (progress[:, None] >= world.drift[users]).sum(1)]
    chosen: Ints = np.full(len(users), -1)
    for _ in range(TRIES):
        left = np.flatnonzero(chosen < 0)
        if not len(left):
            return chosen
        drawn = _draw(world, favourite[left], previous[left], rng)
        fresh = ~seen[left, drawn]
        chosen[left[fresh]] = drawn[fresh]
    left = np.flatnonzero(chosen < 0)
    chosen[left] = np.argmax(np.where(seen[left], -1.0, rng.random((len(left), seen.shape[1]))), axis=1)
    return chosen


def _draw(world: World, favourite: Ints, previous: Ints, rng: np.random.Generator) -> Ints:
    how, where, which = rng.random((3, len(favourite)))
    follow = (how < FOLLOW) & (previous >= 0)
    genre = np.where(how < FOLLOW + FAVOURITE, favourite, rng.integers(0, len(world.by_genre), len(favourite)))
    drawn = np.empty(len(favourite), np.int64)
    for g, members in enumerate(world.by_genre):
        mine = genre == g
        drawn[mine] = members[np.searchsorted(world.weights[g], where[mine])]
    nth: Ints = np.searchsorted([0.5, 0.75, 0.9], which)  # the first follower is the likeliest
    drawn[follow] = world.followers[previous[follow], nth[follow]]
    return drawn
