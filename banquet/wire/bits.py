"""Which of many rows are meant, as bits in int32 words: row r is bit r % 32 of word r // 32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORD = 32


def words_of(rows: int) -> int:
    """How many words so many rows take."""
    return -(-rows // WORD)


def pack_bits(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Bool [N] -> words [ceil(N / 32)]; what is left over of the last one is 0."""
    packed = np.zeros(4 * words_of(len(mask)), np.uint8)
    packed[: -(-len(mask) // 8)] = np.packbits(mask, bitorder="little")
    return packed.view("<i4")


def unpack_bits(words: NDArray[np.int32], rows: int) -> NDArray[np.bool_]:
    """Words [B, ceil(N / 32)] -> bool [B, N]."""
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, count=rows, bitorder="little").view(np.bool_)
