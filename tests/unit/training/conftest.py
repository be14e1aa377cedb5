"""Datasets small enough to check by hand, and one that a model can learn from."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from banquet.training.activity import Log, read_log
from banquet.training.datasets.dataset import Dataset, assemble

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def events_of(*rows: tuple[str, str, str, float | None]) -> pa.Table:
    """Interactions (user, item, type, value), a minute apart."""
    users, items, types, values = zip(*rows, strict=True)
    return pa.table(
        {
            "user_id": users,
            "item_id": items,
            "event_type": types,
            "value": pa.array(values, pa.float32()),
            "event_time": [NOON + timedelta(minutes=k) for k in range(len(rows))],
        }
    )


@pytest.fixture
def handmade() -> Dataset:
    """Ann takes a b c d e a, with ratings; Bob takes b c d a, among them an impression that is no interaction."""
    ann = [("ann", item, "rating" if stars else "click", stars) for item, stars in zip("abcde", (5, 4, None, 2, 4), strict=True)]
    bob = [("bob", "b", "click", None), ("bob", "e", "impression", None)]
    more = [("bob", item, "click", None) for item in "cda"]
    users = pa.table(
        {"user_id": ["ann", "bob", "eve"], "city": ["Oslo", None, "Oslo"], "age": pa.array([30, 40, None], pa.int64())}
    )
    items = pa.table(
        {
            "item_id": list("abcdef"),
            "title": [f"Title {item}" for item in "abcdef"],
            "colour": ["red", "red", "blue", "blue", None, "green"],
            "tags": [["x", "y"], ["x"], [], ["y", "x", "rare"], None, ["y"]],
            "price": pa.array([1.0, 2.0, None, 4.0, 5.0, 6.0], pa.float32()),
            "year": pa.array([2000, 2001, 2002, None, 2004, 2005], pa.int64()),
        }
    )
    return assemble("handmade", events_of(*ann, *bob, *more, ("ann", "a", "click", None)), users, items)


@pytest.fixture
def log(handmade: Dataset) -> Log:
    return read_log(handmade)
