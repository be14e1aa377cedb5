"""Rows as bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from banquet.wire.bits import pack_bits, unpack_bits, words_of


@given(st.lists(st.lists(st.booleans(), min_size=70, max_size=70), min_size=1, max_size=3), st.integers(0, 70))
def test_bits_come_back_as_they_went(masks, rows):
    """For every number of rows, whether or not it fills its last word, and for several queries at once."""
    wanted = np.array(masks, np.bool_)[:, :rows]
    words = np.stack([pack_bits(mask) for mask in wanted])
    assert (words.dtype, words.shape) == (np.int32, (len(masks), words_of(rows)))
    assert unpack_bits(words, rows).tolist() == wanted.tolist()


@pytest.mark.parametrize(("row", "word", "value"), [(0, 0, 1), (9, 0, 512), (31, 0, -(2**31)), (32, 1, 1)])
def test_a_row_has_its_place(row, word, value):
    """Others than we may write these words: row r is bit r % 32 of word r // 32."""
    words = pack_bits(np.arange(40) == row)
    assert words[word] == value
    assert words[1 - word] == 0
