"""Many stored numbers at once: serialized values of Feast's as one array, without a Python object per number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from banquet.features.stores.encoding import BadValue, decode
from banquet.wire.columns import NOT_STORED, STORED_NULL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Value type -> its first byte and how the rest is written: the fixed-width type, or None for a varint.
_WRITTEN: dict[str, tuple[int, str | None]] = {
    "FLOAT": (0x35, "<f4"),
    "DOUBLE": (0x29, "<f8"),
    "BOOL": (0x38, None),
    "INT32": (0x18, None),
    "INT64": (0x20, None),
    "UNIX_TIMESTAMP": (0x40, None),
}
_MAX_VARINT = 10
_MORE = 0x80


def numbers_of(
    blobs: Sequence[bytes | None], type_name: str, dtype: np.dtype[Any], missing: float
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """The numbers, `dtype` [n], and why there is none, uint8 [n] (0 there is one); `missing` stands where there is none.

    A value of another type (left over from an older definition) counts as a stored null.
    """
    numbers = np.full(len(blobs), missing, dtype)
    absent = np.zeros(len(blobs), np.uint8)
    lengths = np.fromiter((-1 if blob is None else len(blob) for blob in blobs), np.int64, len(blobs))
    absent[lengths == 0] = STORED_NULL
    absent[lengths < 0] = NOT_STORED
    body = np.frombuffer(b"".join(filter(None, blobs)), np.uint8)
    begins = np.cumsum(np.maximum(lengths, 0)) - lengths
    tag, fixed = _WRITTEN[type_name]
    for length in np.unique(lengths[lengths > 0]).tolist():
        at = np.flatnonzero(lengths == length)
        written = body[begins[at][:, None] + np.arange(length)]
        values, fits = _fixed(written, tag, fixed) if fixed else _varints(written, tag)
        numbers[at[fits]] = values[fits].astype(dtype)
        for row in at[~fits].tolist():
            numbers[row], absent[row] = _one(blobs[row], dtype, missing)
    return numbers, absent


def _fixed(written: NDArray[np.uint8], tag: int, code: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    if written.shape[1] != 1 + np.dtype(code).itemsize:
        return np.zeros(len(written), code), np.zeros(len(written), np.bool_)
    return np.ascontiguousarray(written[:, 1:]).view(code)[:, 0], written[:, 0] == tag


def _varints(written: NDArray[np.uint8], tag: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    groups = written[:, 1:]
    width = groups.shape[1]
    if not 0 < width <= _MAX_VARINT:
        return np.zeros(len(written), np.int64), np.zeros(len(written), np.bool_)
    values = np.zeros(len(written), np.uint64)
    for place in range(width):
        values |= (groups[:, place] & np.uint8(_MORE - 1)).astype(np.uint64) << np.uint64(7 * place)
    fits = (written[:, 0] == tag) & (groups[:, -1] < _MORE) & (groups[:, :-1] >= _MORE).all(axis=1)
    return values.view(np.int64), fits


def _one(blob: bytes | None, dtype: np.dtype[Any], missing: float) -> tuple[Any, int]:
    """A number written in another way than usual."""
    try:
        value = decode(blob or b"")
    except BadValue:
        value = None
    return (value, 0) if fits(value, dtype) else (missing, STORED_NULL)


def fits(value: object, dtype: np.dtype[Any] | type[np.generic]) -> bool:
    """Whether a value is a number that an array of this type can hold as it is, floats to their precision."""
    match np.dtype(dtype).kind:
        case "b":
            return isinstance(value, bool)
        case "i":
            return isinstance(value, int) and not isinstance(value, bool)
        case _:
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                return False
            return not math.isfinite(value) or abs(value) <= float(np.finfo(dtype).max)
