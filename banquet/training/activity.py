"""What users did, as arrays: a log in which a user's interactions stand together in time order; counters as of any moment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from banquet.core.errors import BadData

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from banquet.training.datasets.dataset import Dataset

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float32]

LIKED_SHARE = 0.8


@dataclass(frozen=True)
class Counters:
    """How often, and how well rated, each owner (a user or an item) was before a moment. Built from all events in time order."""

    keys: Ints
    ratings: NDArray[np.float64]
    stars: NDArray[np.float64]
    events: int

    @classmethod
    def of(cls, owners: Ints, values: Floats) -> Counters:
        """Of the events [E] in the order of time: whose each is, and its rating (NaN = none)."""
        order = np.argsort(owners, kind="stable")
        rated = ~np.isnan(values[order])
        stars = np.where(rated, values[order], 0.0).astype(np.float64)
        return cls(owners[order] * len(owners) + order, _running(rated.astype(np.float64)), _running(stars), len(owners))

    def before(self, owners: Ints, moments: Ints) -> Floats:
        """[..., 3]: interactions, ratings, mean rating (NaN without any) of each owner before each moment; shapes broadcast."""
        first = np.searchsorted(self.keys, owners * self.events)
        now = np.searchsorted(self.keys, owners * self.events + moments)
        ratings = self.ratings[now] - self.ratings[first]
        mean = np.where(ratings > 0, (self.stars[now] - self.stars[first]) / np.maximum(ratings, 1.0), np.nan)
        return np.stack(np.broadcast_arrays(now - first, ratings, mean), -1).astype(np.float32)


@dataclass(frozen=True)
class Log:
    """Interactions [E], user after user, each user's in time order. Users and items are rows of the dataset's tables.

    user, item int64 [E]; values float32 [E], NaN where the event is no rating; moments int64 [E] place each event in the order
    of all events; starts int64 [U + 1]: user u has the events starts[u]:starts[u + 1].
    """

    user: Ints
    item: Ints
    values: Floats
    moments: Ints
    starts: Ints
    n_items: int

    def __len__(self) -> int:
        return len(self.item)

    @property
    def n_users(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def has_ratings(self) -> bool:
        return bool((~np.isnan(self.values)).any())

    @cached_property
    def liked(self) -> NDArray[np.bool_]:
        """Which events are ratings of at least four fifths of the highest one: 4 of 5 stars."""
        if not self.has_ratings:
            return np.zeros(len(self), np.bool_)
        return np.nan_to_num(self.values, nan=-np.inf) >= LIKED_SHARE * np.nanmax(self.values)

    @cached_property
    def user_counters(self) -> Counters:
        return Counters.of(*self._in_time(self.user))

    @cached_property
    def item_counters(self) -> Counters:
        return Counters.of(*self._in_time(self.item))

    @cached_property
    def next_with_item(self) -> Ints:
        """Log position at which the user of each event next has its item [E], `len(log)` when never."""
        pairs = self.user * self.n_items + self.item
        order = np.argsort(pairs, kind="stable")
        again = pairs[order][1:] == pairs[order][:-1]
        following = np.full(len(self), len(self))
        following[order[:-1][again]] = order[1:][again]
        return following

    @cached_property
    def has_repeats(self) -> bool:
        """Whether any user had an item more than once."""
        return bool((self.next_with_item < len(self)).any())

    def first_had(self, users: Ints, items: Ints) -> Ints:
        """Log position at which each user first had each item [..., shapes broadcast], `len(log)` when never."""
        pairs, first = self._pairs
        wanted = users * self.n_items + items
        place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
        return np.where(pairs[place] == wanted, first[place], len(self))

    @cached_property
    def _pairs(self) -> tuple[Ints, Ints]:
        pairs, first = np.unique(self.user * self.n_items + self.item, return_index=True)
        return pairs, first

    def _in_time(self, owners: Ints) -> tuple[Ints, Floats]:
        order = np.argsort(self.moments)
        return owners[order], self.values[order]


def read_log(dataset: Dataset) -> Log:
    """The dataset's interactions; impressions are none. Raises `BadData` when nothing is left or an id has no row."""
    events = dataset.interactions.filter(pc.not_equal(dataset.interactions["event_type"], "impression"))
    if not events.num_rows:
        raise BadData(f"dataset {dataset.name}: interactions.parquet has no click, rating or purchase to learn from; import some")
    users = _rows(dataset.name, events["user_id"], dataset.users["user_id"])
    items = _rows(dataset.name, events["item_id"], dataset.items["item_id"])
    stars = pc.if_else(pc.equal(events["event_type"], "rating"), events["value"], pa.scalar(None, pa.float32()))
    values = pc.fill_null(stars, float("nan")).to_numpy().astype(np.float32)
    order = np.argsort(users, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=dataset.users.num_rows))])
    return Log(users[order], items[order], values[order], order, starts, dataset.items.num_rows)


def _rows(name: str, ids: pa.ChunkedArray, known: pa.ChunkedArray) -> Ints:
    rows: pa.ChunkedArray = pc.index_in(ids, known)
    if rows.null_count:
        lost = ids.filter(pc.is_null(rows))[0].as_py()
        raise BadData(f"dataset {name}: interactions.parquet names {lost!r}, which has no row of its own; import the data again")
    positions: Ints = rows.to_numpy().astype(np.int64)
    return positions


def _running(amounts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(amounts)])
