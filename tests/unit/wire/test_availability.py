"""The one reading of the feature `available`."""

from __future__ import annotations

import numpy as np
import pytest

from banquet.wire.availability import NO_WORDS, YES_WORDS, availability, reading
from banquet.wire.columns import NOT_STORED, STORED_NULL, Column, Strings

NULLS = np.array([0, 0, STORED_NULL, NOT_STORED], np.uint8)


def number(values: list[float], dtype: type[np.generic] = np.int64, absent: np.ndarray | None = None) -> Column:
    return Column("number", "v", np.array(values, dtype), absent=absent)


def lists(kind: str, lengths: list[int], vocabulary: Strings | None = None) -> Column:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Column(kind, "v", np.zeros(offsets[-1], np.int32), vocabulary, offsets)


@pytest.mark.parametrize(
    ("column", "shown", "unreadable"),
    [
        # A Bool field that was added and not yet materialized; a stored null.
        (number([True, False, False, False], np.bool_, NULLS), [True, False, True, True], []),
        (number([0, 0, 0, 0], np.bool_, np.full(4, NOT_STORED, np.uint8)), [True] * 4, []),
        (number([1, 0, 0, 0], np.int64, NULLS), [True, False, True, True], []),
        # How many are in stock.
        (number([12, 0, -1, 1]), [True, False, True, True], [2]),
        (number([1.0, 0.0, np.nan, -0.0], np.float32), [True, False, True, False], []),
        (number([0.5, -2.5, np.inf, np.nan], np.float64), [True] * 4, [1]),
        (
            Column("category", "v", np.array([0, 1, 2, -1], np.int32), Strings.of(["in stock", "out of stock", "perhaps"])),
            [True, False, True, True],
            [2],
        ),
        (Column("category", "v", np.array([0, 1, 0, 1], np.int32), Strings.of(["", "  "])), [True] * 4, []),
        (Column("category", "v", np.full(4, -1, np.int32), Strings.of([])), [True] * 4, []),
        (lists("numbers", [1, 0, 2, 0]), [True] * 4, [0, 2]),
        (lists("categories", [0, 1, 0, 0], Strings.of(["no"])), [True] * 4, [1]),
    ],
)
def test_every_kind_of_column_is_read(column: Column, shown: list[bool], unreadable: list[int]) -> None:
    """Missing leaves an item shown; so does what cannot be read, which is told apart."""
    found = availability({"available": column}, 4)
    assert (found.shown.tolist(), found.unreadable.tolist()) == (shown, unreadable)


def test_a_catalogue_without_the_column_shows_everything() -> None:
    assert availability({}, 3).shown.tolist() == [True] * 3
    assert availability({}, 0).shown.tolist() == []


@pytest.mark.parametrize("text", [*YES_WORDS, "1", "1.0", "+3", "YES", " Y ", "InStock", "in_stock", "IN-STOCK", "True"])
def test_words_of_yes(text: str) -> None:
    assert reading(text) is True


@pytest.mark.parametrize(
    "text", [*NO_WORDS, "0", "0.0", "-0", "No", "N\n", "OutOfStock", "out_of_stock", "Out  of stock", "FALSE"]
)
def test_words_of_no(text: str) -> None:
    assert reading(text) is False


@pytest.mark.parametrize("text", ["", "perhaps", "-1", "nan", "1_0", "²", "none", "stock", "1e5"])
def test_other_texts_say_neither(text: str) -> None:
    assert reading(text) is None
