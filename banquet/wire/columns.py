"""Strings and feature columns as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

Kind = Literal["number", "category", "categories", "numbers"]

# Why a cell has no value.
STORED_NULL, NOT_STORED = 1, 2


@dataclass(frozen=True, slots=True)
class Strings:
    """An immutable list of strings in two arrays: `blob` uint8 [bytes] and `offsets` int64 [n + 1]."""

    blob: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Strings:
        encoded = [text.encode() for text in texts]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(text) for text in encoded], out=offsets[1:])
        return cls(np.frombuffer(b"".join(encoded), np.uint8), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> str:
        return self.blob[self.offsets[index] : self.offsets[index + 1]].tobytes().decode()

    def take(self, rows: NDArray[np.integer[Any]]) -> list[str]:
        """The strings at some places, in that order."""
        if not len(rows):
            return []
        view = self.blob.data
        bounds = zip(self.offsets[rows].tolist(), self.offsets[rows + 1].tolist(), strict=True)
        return [str(view[begin:end], "utf-8") for begin, end in bounds]

    def to_list(self) -> list[str]:
        whole = self.blob.tobytes()
        bounds = self.offsets.tolist()
        return [whole[a:b].decode() for a, b in pairwise(bounds)]


@dataclass(frozen=True, slots=True)
class Column:
    """One feature of every item.

    number:     `values` float32, float64, int64 or bool [N]; missing is NaN (floats) or the type's zero.
    category:   `values` int32 [N], codes into `vocabulary`; missing is -1.
    categories: `values` int32 [sum of lengths], codes; item i has `values[offsets[i]:offsets[i + 1]]`, `offsets` int64 [N + 1].
    numbers:    as categories, the numbers themselves (float32, float64, int64 or bool).

    `absent` uint8 [N] tells why a cell has no value: 0 it has one, 1 a stored null, 2 nothing stored; None when all have values.
    """

    kind: Kind
    view: str
    values: NDArray[Any]
    vocabulary: Strings | None = None
    offsets: NDArray[np.int64] | None = None
    absent: NDArray[np.uint8] | None = None

    def take(self, rows: NDArray[np.integer[Any]]) -> Column:
        """The column of some rows, in their order."""
        absent = None if self.absent is None else self.absent[rows]
        if self.offsets is None:
            return Column(self.kind, self.view, self.values[rows], self.vocabulary, absent=absent)
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        places = np.repeat(self.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Column(self.kind, self.view, self.values[places], self.vocabulary, offsets, absent)

    def text(self, row: int) -> str:
        """The value of one row as a person reads it; empty when missing."""
        if self.absent is not None and self.absent[row]:
            return ""
        if self.kind == "number":
            value = self.values[row]
            # As numpy writes it: the shortest decimal that is this float32, 4.6 and not 4.599999904632568.
            return "" if value != value else str(value)  # noqa: PLR0124 - NaN is the one value unlike itself
        held = [self.values[row]] if self.offsets is None else self.values[self.offsets[row] : self.offsets[row + 1]]
        if self.vocabulary is None:
            return "|".join(map(str, held))
        return "|".join(self.vocabulary[int(code)] for code in held if code >= 0)
