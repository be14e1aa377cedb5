"""One feature of many items in the builder's memory: written a few rows at a time, taken out as a catalogue column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from banquet.features.catalogue.number_blobs import fits, numbers_of
from banquet.features.stores.encoding import BadValue, decode
from banquet.wire.columns import NOT_STORED, STORED_NULL, Column, Strings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from banquet.wire.columns import Kind

    Rows = NDArray[np.int64]

# Feast's value type -> the column's kind and, for numbers, its dtype and what stands for a missing value.
KINDS: dict[str, Kind] = {
    **dict.fromkeys(["INT32", "INT64", "UNIX_TIMESTAMP", "FLOAT", "DOUBLE", "BOOL"], "number"),
    "STRING": "category",
    "STRING_LIST": "categories",
    **dict.fromkeys(["INT32_LIST", "INT64_LIST", "UNIX_TIMESTAMP_LIST", "FLOAT_LIST", "DOUBLE_LIST", "BOOL_LIST"], "numbers"),
}
_DTYPES: dict[str, tuple[type[np.generic], int | float]] = {
    "INT32": (np.int64, 0),
    "INT64": (np.int64, 0),
    "UNIX_TIMESTAMP": (np.int64, 0),
    "FLOAT": (np.float32, np.nan),
    "DOUBLE": (np.float64, np.nan),
    "BOOL": (np.bool_, 0),
}
_NOTHING, _NULL = -1, -2
# Values that no row has any more are dropped once they are this many, and as many as those in use.
_SPARE = 4096


class TableColumn(Protocol):
    """`put` says whether anything changed; `taken` is the column of some rows, in their order."""

    kind: Kind

    def grow(self, rows: int) -> None: ...

    def put(self, rows: Rows, blobs: Sequence[bytes | None]) -> bool: ...

    def taken(self, rows: Rows) -> Column: ...


def column_for(type_name: str, view: str) -> TableColumn | None:
    """A column for a type of Feast's; None for types that models cannot take."""
    match KINDS.get(type_name):
        case None:
            return None
        case "number":
            return NumberColumn(view, type_name)
        case kind:
            return CodedColumn(view, type_name, kind)


class NumberColumn:
    """One number per row."""

    kind: Kind = "number"

    def __init__(self, view: str, type_name: str) -> None:
        self._view = view
        self._type = type_name
        dtype, self._missing = _DTYPES[type_name]
        self._values: NDArray[Any] = np.empty(0, dtype)
        self._absent = np.empty(0, np.uint8)

    def grow(self, rows: int) -> None:
        self._values = grown(self._values, rows, self._missing)
        self._absent = grown(self._absent, rows, NOT_STORED)

    def put(self, rows: Rows, blobs: Sequence[bytes | None]) -> bool:
        values, absent = numbers_of(blobs, self._type, self._values.dtype, self._missing)
        # As bytes: NaN equals itself there, and zeros have their signs.
        same = self._values[rows].tobytes() == values.tobytes() and self._absent[rows].tobytes() == absent.tobytes()
        if not same:
            self._values[rows], self._absent[rows] = values, absent
        return not same

    def taken(self, rows: Rows) -> Column:
        return Column("number", self._view, self._values[rows], absent=_or_none(self._absent[rows]))


class CodedColumn:
    """Texts, lists of texts or lists of numbers: every row has the code of a value that may be many rows'."""

    def __init__(self, view: str, type_name: str, kind: Kind) -> None:
        self._view = view
        self.kind: Kind = kind
        self._dtype = _DTYPES[type_name.removesuffix("_LIST")][0] if kind == "numbers" else None
        self._codes = np.empty(0, np.int32)
        self._values: list[Any] = []
        self._code_of: dict[bytes | None, int] = {None: _NOTHING, b"": _NULL}

    def grow(self, rows: int) -> None:
        self._codes = grown(self._codes, rows, _NOTHING)

    def put(self, rows: Rows, blobs: Sequence[bytes | None]) -> bool:
        code_of = self._code_of
        for blob in set(blobs) - code_of.keys():
            value = self._decoded(blob or b"")
            code_of[blob] = _NULL if value is None else len(self._values)
            if value is not None:
                self._values.append(value)
        codes = np.fromiter((code_of[blob] for blob in blobs), np.int32, len(blobs))
        changed = not np.array_equal(self._codes[rows], codes)
        if changed:
            self._codes[rows] = codes
        return changed

    def taken(self, rows: Rows) -> Column:
        self._tidy()
        codes = self._codes[rows]
        absent = _or_none(np.where(codes >= 0, 0, np.where(codes == _NOTHING, NOT_STORED, STORED_NULL)).astype(np.uint8))
        used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(self._values)))
        values = [self._values[code] for code in used.tolist()]
        # The last place is that of rows without a value.
        place = np.full(len(self._values) + 1, len(used))
        place[used] = np.arange(len(used))
        places = place[np.maximum(codes, _NOTHING)]
        if self.kind == "category":
            vocabulary = sorted(set(values))
            code_of = {text: code for code, text in enumerate(vocabulary)}
            final = np.array([code_of[text] for text in values] + [-1], np.int32)
            return Column("category", self._view, final[places], Strings.of(vocabulary), absent=absent)
        if self.kind == "categories":
            vocabulary = sorted({text for texts in values for text in texts})
            code_of = {text: code for code, text in enumerate(vocabulary)}
            flat, offsets = _lists([np.array([code_of[text] for text in texts], np.int32) for texts in values], np.int32, places)
            return Column("categories", self._view, flat, Strings.of(vocabulary), offsets, absent)
        assert self._dtype is not None, "lists of numbers have a type"
        flat, offsets = _lists(values, self._dtype, places)
        return Column("numbers", self._view, flat, offsets=offsets, absent=absent)

    def _decoded(self, blob: bytes) -> Any:
        """A value of this column's kind; None for one of another (left over from an older definition)."""
        try:
            value = decode(blob)
        except BadValue:
            return None
        if self.kind == "category":
            return value if isinstance(value, str) else None
        if not isinstance(value, list):
            return None
        if self.kind == "categories":
            return tuple(value) if all(isinstance(each, str) for each in value) else None
        assert self._dtype is not None, "lists of numbers have a type"
        return np.array(value, self._dtype) if all(fits(each, self._dtype) for each in value) else None

    def _tidy(self) -> None:
        """Forget values that no row has any more, once they are many."""
        used = np.flatnonzero(np.bincount(self._codes[self._codes >= 0], minlength=len(self._values)))
        if len(self._values) < 2 * len(used) + _SPARE:
            return
        place = np.full(len(self._values), _NOTHING, np.int32)
        place[used] = np.arange(len(used), dtype=np.int32)
        self._codes = np.where(self._codes >= 0, place[self._codes], self._codes)
        self._values = [self._values[code] for code in used.tolist()]
        kept = {blob: int(place[code]) for blob, code in self._code_of.items() if code >= 0 and place[code] >= 0}
        self._code_of = {None: _NOTHING, b"": _NULL, **kept}


def grown(array: NDArray[Any], rows: int, fill: float) -> NDArray[Any]:
    """The array with room for so many rows; new ones hold `fill`."""
    if rows <= len(array):
        return array
    larger = np.full(max(rows, 2 * len(array)), fill, array.dtype)
    larger[: len(array)] = array
    return larger


def _lists(
    lists: Sequence[NDArray[Any]], dtype: type[np.generic], places: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The lists at some places, one after the other, and their offsets; the place after the last list is an empty one."""
    lengths = np.array([len(each) for each in lists] + [0], np.int64)
    begins = np.cumsum(lengths) - lengths
    together = np.concatenate([*lists, np.empty(0, dtype)]).astype(dtype)
    offsets = np.zeros(len(places) + 1, np.int64)
    np.cumsum(lengths[places], out=offsets[1:])
    within = np.arange(int(offsets[-1])) - np.repeat(offsets[:-1], lengths[places])
    return together[np.repeat(begins[places], lengths[places]) + within], offsets


def _or_none(absent: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    return absent if absent.any() else None
