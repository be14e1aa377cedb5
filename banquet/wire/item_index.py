"""Finds items by id in a catalogue of any size without a table in memory: sorted hashes that lie in the file.

An id's hash is the sum of its bytes (plus one) times a fixed odd 64-bit number per place, modulo 2^64. What is found is compared
with the id itself, so that a hash shared by two ids costs a comparison and never gives a wrong item.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from banquet.wire.columns import Strings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PIECE = 1 << 16
_GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class ItemIndex:
    """`hashes` int64 [N] in rising order and the `rows` int32 [N] they belong to."""

    hashes: NDArray[np.int64]
    rows: NDArray[np.int32]

    @classmethod
    def of(cls, ids: Strings) -> ItemIndex:
        hashes = hashes_of(ids)
        rows = np.argsort(hashes, kind="stable").astype(np.int32)
        return cls(hashes[rows], rows)

    def find(self, ids: Strings, wanted: Sequence[str]) -> NDArray[np.int32]:
        """The row of each wanted id in `ids`, the strings this index was made of; -1 where there is none."""
        asked = Strings.of(wanted)
        hashes = hashes_of(asked)
        found = np.full(len(asked), -1, np.int32)
        places = np.searchsorted(self.hashes, hashes)
        # One round but for hashes that several ids share.
        open_ = np.arange(len(asked))
        while len(open_):
            inside = places[open_] < len(self.hashes)
            open_ = open_[inside]
            open_ = open_[self.hashes[places[open_]] == hashes[open_]]
            rows = self.rows[places[open_]]
            same = equal(ids, rows, asked, open_)
            found[open_[same]] = rows[same]
            open_ = open_[~same]
            places[open_] += 1
        return found


def hashes_of(texts: Strings) -> NDArray[np.int64]:
    """A 64-bit hash of each string, int64 [n]."""
    hashes = np.zeros(len(texts), np.uint64)
    for start in range(0, len(texts), PIECE):
        bounds = texts.offsets[start : start + PIECE + 1]
        begin, lengths = int(bounds[0]), np.diff(bounds)
        places = np.arange(int(bounds[-1]) - begin) - np.repeat(bounds[:-1] - begin, lengths)
        factors = _factors(1 << max(6, int(lengths.max(initial=1) - 1).bit_length()))
        sums = np.zeros(len(places) + 1, np.uint64)
        body = texts.blob[begin : int(bounds[-1])].astype(np.uint64)
        np.cumsum((body + np.uint64(1)) * factors[places], out=sums[1:])
        hashes[start : start + PIECE] = sums[bounds[1:] - begin] - sums[bounds[:-1] - begin]
    return hashes.view(np.int64)


def equal(
    ids: Strings, rows: NDArray[np.integer[Any]], others: Strings, other_rows: NDArray[np.integer[Any]]
) -> NDArray[np.bool_]:
    """Whether `ids[rows[k]] == others[other_rows[k]]`, for each k."""
    begins, other_begins = ids.offsets[rows], others.offsets[other_rows]
    lengths = ids.offsets[rows + 1] - begins
    same: NDArray[np.bool_] = lengths == others.offsets[other_rows + 1] - other_begins
    compared = np.where(same, lengths, 0)
    ends = np.cumsum(compared)
    within = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - compared, compared)
    left = ids.blob[np.repeat(begins, compared) + within]
    right = others.blob[np.repeat(other_begins, compared) + within]
    unlike = np.repeat(np.arange(len(rows)), compared)[left != right]
    same[unlike] = False
    return same


@lru_cache
def _factors(places: int) -> NDArray[np.uint64]:
    """A fixed odd number per place (splitmix64; source: Vigna's reference code)."""
    state = (np.arange(1, places + 1, dtype=np.uint64)) * np.uint64(_GOLDEN)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (state ^ (state >> np.uint64(31))) | np.uint64(1)
