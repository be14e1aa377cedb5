"""Which items may be shown: the one reading of the feature `available`, whatever its type, for gateway, workers and imports."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from banquet.wire.columns import Column

AVAILABLE = "available"
# Compared without case, blanks, "_" and "-": `in_stock`, `InStock` and "In stock" are one word.
YES_WORDS = ("yes", "y", "true", "t", "on", "in stock", "available")
NO_WORDS = (
    "no",
    "n",
    "false",
    "f",
    "off",
    "out of stock",
    "sold out",
    "not available",
    "unavailable",
    "withdrawn",
    "discontinued",
)
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
_NOT_LETTERS = re.compile(r"[\s_-]+")
_READINGS = {_NOT_LETTERS.sub("", word): shown for words, shown in ((YES_WORDS, True), (NO_WORDS, False)) for word in words}


@dataclass(frozen=True, slots=True)
class Availability:
    """`shown` bool [N]: the items that may be shown; `unreadable` int64: rows whose value says neither yes nor no."""

    shown: NDArray[np.bool_]
    unreadable: NDArray[np.int64]


def availability(columns: Mapping[str, Column], items: int) -> Availability:
    """What a catalogue's columns say of its items. What is missing, and what cannot be read, leaves its item shown.

    Numbers: 0 is no, more is yes, less cannot be read. Texts: those of numbers as numbers, and the words above. Lists cannot be
    read, unless they are empty: then they are missing.
    """
    column = columns.get(AVAILABLE)
    if column is None:
        return Availability(np.ones(items, np.bool_), np.empty(0, np.int64))
    if column.offsets is not None:
        no, unreadable = np.zeros(items, np.bool_), np.diff(column.offsets) > 0
    elif column.vocabulary is not None:
        texts = column.vocabulary.to_list()
        # The last place serves code -1, a missing text.
        no = np.array([reading(text) is False for text in texts] + [False])[column.values]
        unreadable = np.array([reading(text) is None and bool(text.strip()) for text in texts] + [False])[column.values]
    else:
        # NaN is missing: neither zero nor less.
        no, unreadable = column.values == 0, column.values < 0
    if column.absent is not None:
        no, unreadable = no & (column.absent == 0), unreadable & (column.absent == 0)
    return Availability(~no, np.flatnonzero(unreadable))


def reading(text: str) -> bool | None:
    """Whether a text says yes or no; None when it says neither."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return None if float(text) < 0 else float(text) > 0
    return _READINGS.get(_NOT_LETTERS.sub("", text).casefold())
