"""Numbers of an online store, many at once, as one by one."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from banquet.features.catalogue.number_blobs import numbers_of
from banquet.features.catalogue.table_columns import column_for
from banquet.features.stores.encoding import decode


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


INT64 = st.integers(-(2**63), 2**63 - 1).map(lambda number: b"\x20" + varint(number))
DOUBLE = st.floats().map(lambda number: b"\x29" + struct.pack("<d", number))
FLOAT = st.floats(width=32).map(lambda number: b"\x35" + struct.pack("<f", number))
BOOL = st.booleans().map(lambda flag: b"\x38" + bytes([flag]))
OTHERS = st.sampled_from([None, b"", b"\x12\x01a", b"\x62\x00", b"\x20\x80", b"\x20", b"\x29\x00", b"\xff"])


@pytest.mark.parametrize(
    ("kind", "blobs", "dtype"),
    [("INT64", INT64, np.int64), ("DOUBLE", DOUBLE, np.float64), ("FLOAT", FLOAT, np.float32), ("BOOL", BOOL, np.bool_)],
)
def test_numbers_are_those_that_one_by_one_gives(kind: str, blobs: st.SearchStrategy[bytes], dtype: type) -> None:
    """Extremes, NaN, signed zeros, nulls, nothing stored and what is no number at all."""

    @given(st.lists(blobs | OTHERS, max_size=12))
    def check(mixed: list[bytes | None]) -> None:
        missing = np.nan if np.dtype(dtype).kind == "f" else 0
        numbers, absent = numbers_of(mixed, kind, np.dtype(dtype), missing)
        for number, why, blob in zip(numbers, absent.tolist(), mixed, strict=True):
            if blob is None or not blob or blob in (b"\x12\x01a", b"\x62\x00", b"\x20\x80", b"\x20", b"\x29\x00", b"\xff"):
                assert why == (2 if blob is None else 1)
                np.testing.assert_equal(number, np.dtype(dtype).type(missing))
                continue
            assert why == 0
            assert number.tobytes() == np.dtype(dtype).type(decode(blob)).tobytes()

    check()


def test_a_number_of_an_older_type_is_still_one() -> None:
    """A double under a feature that is a float by now, and a whole number under one of floats."""
    numbers, absent = numbers_of([b"\x29" + struct.pack("<d", 2.5), b"\x20\x07"], "FLOAT", np.dtype(np.float32), np.nan)
    assert (numbers.tolist(), absent.tolist()) == ([2.5, 7.0], [0, 0])


@pytest.mark.parametrize(
    ("kind", "stored", "expected"),
    [
        ("INT64_LIST", [float("inf")], None),
        ("INT64_LIST", [1.5], None),
        ("BOOL_LIST", [1.0], None),
        ("FLOAT_LIST", [1e300], None),
        ("FLOAT_LIST", [0.5, float("inf")], [0.5, float("inf")]),
        ("DOUBLE_LIST", [1e300], [1e300]),
    ],
)
def test_a_list_of_an_older_type_is_taken_only_if_it_fits(kind: str, stored: list[float], expected: list[float] | None) -> None:
    """Otherwise it is as a null: no build ends over it."""
    body = struct.pack(f"<{len(stored)}d", *stored)
    blob = bytes([0x7A, len(body) + 2, 0x0A, len(body)]) + body
    column = column_for(kind, "view")
    assert column is not None
    column.grow(1)
    column.put(np.array([0]), [blob])
    taken = column.taken(np.array([0]))
    assert taken.values.tolist() == (expected or [])
    assert (taken.absent is None) == (expected is not None)
