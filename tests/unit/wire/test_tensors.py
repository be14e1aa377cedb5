"""The payload format, from both ends."""

from __future__ import annotations

import json
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from banquet.wire.tensors import BadTensors, pack, unpack

DTYPES = [np.bool_, np.uint8, np.int8, np.int32, np.int64, np.float16, np.float32, np.float64]
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)
NAMES = st.text(min_size=1, max_size=12).filter(lambda name: name != "__metadata__" and name.isprintable())


def _body(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@given(arrays=st.dictionaries(NAMES, ARRAYS, max_size=4), metadata=st.dictionaries(NAMES, st.text(max_size=8), max_size=3))
def test_what_is_packed_comes_out_again(arrays, metadata):
    """Names, types, shapes, values (NaN included) and metadata survive the way there and back."""
    unpacked, told = unpack(pack(arrays, metadata))
    assert told == metadata
    assert unpacked.keys() == arrays.keys()
    for name, array in arrays.items():
        assert unpacked[name].dtype == array.dtype
        assert unpacked[name].shape == array.shape
        np.testing.assert_array_equal(unpacked[name], array)


@given(cut=st.integers(0, 200))
def test_a_truncated_buffer_is_refused(cut):
    """Any part of a payload that is not the whole raises `BadTensors`."""
    whole = pack({"rows": np.arange(12, dtype=np.int32), "scores": np.ones((3, 4), np.float32)}, {"catalogue": "v"})
    with pytest.raises(BadTensors):
        unpack(whole[: min(cut, len(whole) - 1)])


@given(st.binary(max_size=300))
@example(b"")
@example(struct.pack("<Q", 2**63))
def test_random_bytes_are_refused_or_read(noise):
    """No bytes make reading fail in any other way than `BadTensors`."""
    with suppress(BadTensors):
        unpack(noise)


@given(position=st.integers(0, 10_000), value=st.integers(0, 255))
def test_one_wrong_byte_never_crashes_the_reader(position, value):
    """A payload with one byte changed is read or refused."""
    body = bytearray(pack({"rows": np.arange(5, dtype=np.int32)}, {"catalogue": "v"}))
    body[position % len(body)] = value
    with suppress(BadTensors):
        unpack(body)


@pytest.mark.parametrize(
    "header",
    [
        [],
        "text",
        {"a": {"dtype": "F32", "shape": [2]}},
        {"a": {"dtype": "F33", "shape": [], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [100, 104]}},
        {"a": {"dtype": "F32", "shape": ["1"], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [0, 10**30], "data_offsets": [0, 0]}},
        {"a": {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]}},
        {"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1] * 100, "data_offsets": [0, 4]}},
        {"a": None},
        {"__metadata__": {"catalogue": 5}},
        {"__metadata__": ["catalogue"]},
    ],
    ids=str,
)
def test_a_malformed_header_is_refused(header):
    """Whatever a header says, it is read as a whole buffer or refused with `BadTensors`."""
    with pytest.raises(BadTensors):
        unpack(_body(header, b"\0" * 8))


def test_unpacked_arrays_are_views_that_cannot_be_written():
    """Reading copies nothing, so a mapped file stays on disk and nobody can change it by accident."""
    body = bytearray(pack({"rows": np.arange(4, dtype=np.int32)}))
    rows = unpack(body)[0]["rows"]
    assert np.shares_memory(rows, np.frombuffer(body, np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        rows[0] = 1


def test_non_contiguous_arrays_are_packed_by_value():
    """A transposed or strided array is sent as it reads, not as it lies."""
    array = np.arange(6, dtype=np.int32).reshape(2, 3).T[::2]
    np.testing.assert_array_equal(unpack(pack({"a": array}))[0]["a"], array)
