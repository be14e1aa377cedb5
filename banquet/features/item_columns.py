"""What a scan of the online store found about items, and how it becomes catalogue columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from banquet.features.encoding import BadValue, decode
from banquet.wire.catalogue_file import Column, Strings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from banquet.features.layout import View
    from banquet.wire.catalogue_file import Kind

PRESENT, NOT_FOUND = 1, 3  # Feast's FieldStatus
Cells: TypeAlias = dict[str, bytes]

# Feast's value type -> the column's kind and, for numbers, its dtype and what stands for a missing value.
KINDS: dict[str, Kind] = {
    **dict.fromkeys(["INT32", "INT64", "UNIX_TIMESTAMP", "FLOAT", "DOUBLE", "BOOL"], "number"),
    "STRING": "category",
    "STRING_LIST": "categories",
}
_DTYPES: dict[str, tuple[type[np.generic], int | float]] = {
    "INT32": (np.int64, 0),
    "INT64": (np.int64, 0),
    "UNIX_TIMESTAMP": (np.int64, 0),
    "FLOAT": (np.float32, np.nan),
    "DOUBLE": (np.float64, np.nan),
    "BOOL": (np.bool_, 0),
}


@dataclass(frozen=True, slots=True)
class ScannedView:
    """A view's rows as they lie in the store.

    `cells[feature][item id]` is a serialized value, `times_us[item id]` the event time (microseconds since 1970 UTC).
    """

    view: View
    cells: Mapping[str, Cells] = field(default_factory=dict)
    times_us: dict[str, int] = field(default_factory=dict)

    @classmethod
    def empty(cls, view: View) -> ScannedView:
        return cls(view, {name: {} for name in view.features})


@dataclass(frozen=True, slots=True)
class ItemColumns:
    """Every item: sorted `ids`, `columns` by feature, `statuses` and `event_times_us` by view."""

    ids: list[str]
    columns: dict[str, Column]
    statuses: dict[str, NDArray[np.uint8]]
    event_times_us: dict[str, NDArray[np.int64]]


def columns_of(scanned: list[ScannedView]) -> ItemColumns:
    """Columns over the items of the first view: an item is what has a profile.

    Features of types that models cannot take are left out. A value of another type than its feature's (left over from an
    older definition) counts as missing.
    """
    ids = sorted(scanned[0].times_us)
    columns = {
        scan.view.column(name): _column(scan, name, kind, ids)
        for scan in scanned
        for name, type_name in scan.view.features.items()
        if (kind := KINDS.get(type_name)) is not None
    }
    statuses, times = {}, {}
    for scan in scanned:
        known = np.fromiter((item in scan.times_us for item in ids), np.bool_, len(ids))
        statuses[scan.view.name] = np.where(known, np.uint8(PRESENT), np.uint8(NOT_FOUND))
        times[scan.view.name] = np.fromiter((scan.times_us.get(item, 0) for item in ids), np.int64, len(ids))
    return ItemColumns(ids, columns, statuses, times)


def _column(scan: ScannedView, name: str, kind: Kind, ids: list[str]) -> Column:
    """The values of one feature in the order of `ids`; items without one get what stands for missing."""
    blobs = [scan.cells[name].get(item, b"") for item in ids]
    # The same bytes are the same value; most columns have far fewer values than items.
    values = {blob: _decoded(blob) for blob in set(blobs)}
    if kind == "number":
        return Column(kind, scan.view.name, _numbers(blobs, values, *_DTYPES[scan.view.features[name]]))
    if kind == "category":
        codes, vocabulary = _codes(blobs, values)
        return Column(kind, scan.view.name, codes, vocabulary)
    codes, vocabulary, offsets = _lists(blobs, values)
    return Column(kind, scan.view.name, codes, vocabulary, offsets)


def _numbers(blobs: list[bytes], values: Mapping[bytes, object], dtype: type[np.generic], missing: float) -> NDArray[np.generic]:
    numbers = {blob: value if isinstance(value, (int, float)) else missing for blob, value in values.items()}
    return np.array([numbers[blob] for blob in blobs], dtype)


def _codes(blobs: list[bytes], values: Mapping[bytes, object]) -> tuple[NDArray[np.int32], Strings]:
    texts = {blob: value for blob, value in values.items() if isinstance(value, str)}
    vocabulary = sorted(set(texts.values()))
    code_of = {text: code for code, text in enumerate(vocabulary)}
    codes = {blob: code_of[text] for blob, text in texts.items()}
    return np.fromiter((codes.get(blob, -1) for blob in blobs), np.int32, len(blobs)), Strings.of(vocabulary)


def _lists(blobs: list[bytes], values: Mapping[bytes, object]) -> tuple[NDArray[np.int32], Strings, NDArray[np.int64]]:
    lists = {
        blob: value for blob, value in values.items() if isinstance(value, list) and all(isinstance(text, str) for text in value)
    }
    vocabulary = sorted({text for texts in lists.values() for text in texts})
    code_of = {text: code for code, text in enumerate(vocabulary)}
    coded = {blob: [code_of[text] for text in texts] for blob, texts in lists.items()}
    each = [coded.get(blob, []) for blob in blobs]
    offsets = np.zeros(len(blobs) + 1, np.int64)
    np.cumsum([len(codes) for codes in each], out=offsets[1:])
    flat = np.fromiter((code for codes in each for code in codes), np.int32, int(offsets[-1]))
    return flat, Strings.of(vocabulary), offsets


def _decoded(blob: bytes) -> object:
    try:
        return decode(blob)
    except BadValue:
        return None
