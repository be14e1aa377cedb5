from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from banquet.core.errors import BadSettings
from banquet.training.datasets.synthetic import synthesize

if TYPE_CHECKING:
    from banquet.training.datasets.dataset import Dataset


@pytest.fixture(scope="module")
def made() -> Dataset:
    return synthesize(users=300, items=200, events=9_000, seed=3)


def test_the_same_seed_makes_the_same_rows(made: Dataset) -> None:
    """Data is a function of the arguments; another seed makes other rows."""
    again, other = (synthesize(users=300, items=200, events=9_000, seed=seed) for seed in (3, 4))
    assert again.interactions.equals(made.interactions)
    assert again.users.equals(made.users)
    assert not other.interactions.equals(made.interactions)


def test_it_is_a_canonical_dataset_of_the_size_asked_for(made: Dataset) -> None:
    """Sizes are exact, columns canonical, and every kind of feature is there."""
    made.check_columns("synthetic")
    assert (made.users.num_rows, made.items.num_rows, made.interactions.num_rows) == (300, 200, 9_000)
    assert made.item_features == ("genres", "format", "year")
    assert made.user_features == ("age_group", "region", "member_years")


def test_nobody_takes_an_item_twice(made: Dataset) -> None:
    """A model that masks what was seen loses nothing."""
    pairs = set(zip(made.interactions["user_id"].to_pylist(), made.interactions["item_id"].to_pylist(), strict=True))
    assert len(pairs) == made.interactions.num_rows


def test_order_tells_more_than_popularity(made: Dataset) -> None:
    """The last item is among ten guessed from the item before three times as often as among the ten most popular."""
    histories: dict[str, list[int]] = {}
    for user, item in zip(made.interactions["user_id"].to_pylist(), made.interactions["item_id"].to_pylist(), strict=True):
        histories.setdefault(user, []).append(int(item[1:]) - 1)
    follows, popularity = np.zeros((200, 200)), np.zeros(200)
    for items in histories.values():
        np.add.at(follows, (items[:-2], items[1:-1]), 1)
        np.add.at(popularity, items[:-1], 1)
    hits = {"order": 0, "popular": 0}
    for *before, last in histories.values():
        for name, scores in (
            ("order", follows[before[-1]] + popularity * 1e-6 if before else popularity),
            ("popular", popularity),
        ):
            unseen = np.where(np.isin(np.arange(200), before), -1, scores)
            hits[name] += int(last in np.argsort(-unseen)[:10])
    assert hits["order"] > 3 * hits["popular"]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, 200, 10), "--users 0"),
        ((10, 2, 10), "--items 2"),
        ((10, 200, 5), "--events 5"),
        ((10, 40, 201), "--events 201: at most 200"),
    ],
)
def test_impossible_sizes_name_the_option(sizes: tuple[int, int, int], message: str) -> None:
    """The error says which option and what it may be."""
    with pytest.raises(BadSettings, match=message):
        synthesize(*sizes)
