"""Made-up data with planted tastes: users drift between favourite genres, and what they take next follows from what they took.

A model that learns the genres, the users' features or the order beats popularity by far. The same arguments make the same rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from banquet.core.errors import BadSettings
from banquet.training.datasets.dataset import TIME, assemble
from banquet.training.datasets.tastes import draw_items, draw_lengths, make_world

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from banquet.training.datasets.dataset import Dataset
    from banquet.training.datasets.tastes import World

    Ints = NDArray[np.int64]

GENRES = (
    "Adventure", "Animation", "Biography", "Comedy", "Crime", "Documentary", "Drama", "Family", "Fantasy", "History", "Horror",
    "Music", "Mystery", "Romance", "Science", "Sport", "Thriller", "Travel", "War", "Western",
)  # fmt: skip
FORMATS = ("film", "series", "short", "special")
REGIONS = ("north", "east", "south", "west")
AGES = ("under 25", "25-39", "40-59", "60 and over")
ADJECTIVES = (
    "Silent",
    "Golden",
    "Broken",
    "Hidden",
    "Crimson",
    "Endless",
    "Winter",
    "Electric",
    "Paper",
    "Distant",
    "Gentle",
    "Wild",
)
NOUNS = (
    "River",
    "Garden",
    "Empire",
    "Letter",
    "Harbour",
    "Mirror",
    "Summer",
    "Station",
    "Orchard",
    "Promise",
    "Shadow",
    "Lantern",
)
RATED, TELLING, MIXED = 0.3, 0.8, 0.35  # events with stars; users whose features tell their taste; items of two genres
FIRST_DAY_US = 1_735_689_600_000_000  # 2025-01-01 UTC; a fixed clock keeps the rows a function of the seed
SPAN_US = 180 * 86_400_000_000


def synthesize(users: int = 2_000, items: int = 1_000, events: int = 100_000, seed: int = 7) -> Dataset:
    """A dataset of exactly so many users, items and events; no user takes an item twice. Raises `BadSettings`."""
    _check(users, items, events)
    rng = np.random.default_rng(seed)
    world = make_world(users, items, len(GENRES), rng)
    lengths = draw_lengths(users, items, events, rng)
    taken = draw_items(world, lengths, items, rng)
    who = np.repeat(np.arange(users), lengths)
    interactions = _interactions(world, who, taken, lengths, rng)
    return assemble(f"synthetic-{seed}", interactions, _users(world, rng), _items(world, rng))


def _check(users: int, items: int, events: int) -> None:
    for name, value, least in (("--users", users, 1), ("--items", items, 2 * len(GENRES)), ("--events", events, users)):
        if value < least:
            raise BadSettings(f"{name} {value}: at least {least} needed")
    if events > users * items // 2:
        raise BadSettings(
            f"--events {events}: at most {users * items // 2}, half of users x items, since nobody takes an item twice"
        )


def _interactions(world: World, who: Ints, taken: Ints, lengths: Ints, rng: np.random.Generator) -> pa.Table:
    step = np.arange(len(who)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    liking = (world.favourites[who] == world.genre[taken][:, None]) @ np.array([0.9, 0.9, 0.9])
    mood = rng.normal(scale=0.4, size=len(lengths))[who]
    stars = np.clip(np.rint(3.1 + liking + 0.6 * world.quality[taken] + mood + rng.normal(scale=0.6, size=len(who))), 1, 5)
    rated = rng.random(len(who)) < RATED
    return pa.table(
        {
            "user_id": _ids("u", who),
            "item_id": _ids("i", taken),
            "event_type": pa.array(np.where(rated, "rating", "click"), pa.string()),
            "value": pa.array(stars, pa.float32(), mask=~rated),
            "event_time": pa.array(_times(step, lengths, rng), pa.int64()).cast(TIME),
        }
    )


def _times(step: Ints, lengths: Ints, rng: np.random.Generator) -> Ints:
    """Microseconds since 1970 [E]: each user is there for a part of the span, with uneven gaps."""
    gaps = rng.exponential(size=len(step)) + 0.001
    total = np.cumsum(gaps)
    ends = np.cumsum(lengths)
    before = np.repeat(np.concatenate([[0.0], total[ends[:-1] - 1]]), lengths)
    lasting = np.repeat(total[ends - 1], lengths) - before
    arrival = rng.uniform(0.0, 0.6, len(lengths))
    stay = (1 - arrival) * rng.uniform(0.3, 1.0, len(lengths))
    share = np.repeat(arrival, lengths) + (total - before) / lasting * np.repeat(stay, lengths)
    times: Ints = (FIRST_DAY_US + share * (SPAN_US - len(step)) + step).astype(np.int64)
    return times


def _users(world: World, rng: np.random.Generator) -> pa.Table:
    """Age group and region tell of the first favourite four times in five; years as a member is a number beside it."""
    users = len(world.favourites)
    first = np.where(rng.random(users) < TELLING, world.favourites[:, 0], rng.integers(0, len(GENRES), users))
    age = np.array(AGES)[first % len(AGES)]
    region = np.array(REGIONS)[first // len(AGES) % len(REGIONS)]
    member_years = np.round(first / 2 + rng.exponential(2.0, users), 1)
    return pa.table(
        {
            "user_id": _ids("u", np.arange(users)),
            "age_group": pa.array(age, pa.string()),
            "region": pa.array(region, pa.string()),
            "member_years": pa.array(member_years, pa.float32()),
        }
    )


def _items(world: World, rng: np.random.Generator) -> pa.Table:
    items = len(world.genre)
    second = np.where(rng.random(items) < MIXED, rng.integers(0, len(GENRES), items), world.genre)
    genres = [sorted({GENRES[a], GENRES[b]}) for a, b in zip(world.genre, second, strict=True)]
    words = rng.integers(0, len(ADJECTIVES), (items, 2))
    titles = [f"{ADJECTIVES[a]} {NOUNS[b]} {k + 1}" for k, (a, b) in enumerate(words)]
    return pa.table(
        {
            "item_id": _ids("i", np.arange(items)),
            "title": titles,
            "genres": pa.array(genres, pa.list_(pa.string())),
            "format": pa.array(np.array(FORMATS)[rng.integers(0, len(FORMATS), items)], pa.string()),
            "year": pa.array(np.rint(2025 - rng.exponential(15.0, items)), pa.float32()),
            "available": pa.array(np.ones(items, bool)),
        }
    )


def _ids(prefix: str, numbers: Ints) -> pa.Array:
    names = pa.array([f"{prefix}{k + 1}" for k in range(int(numbers.max()) + 1)], pa.string())
    return names.take(pa.array(numbers))
