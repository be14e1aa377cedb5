"""Turns columns as they come into canonical ones; the first value that does not fit is an error that names its row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from banquet.core.errors import BadData
from banquet.training.datasets.dataset import EVENT_TYPES, TIME
from banquet.wire.availability import reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from banquet.training.datasets.source import Source

    Convert = Callable[[pa.ChunkedArray], pa.ChunkedArray]

# Unix times from here on are in nano-, micro-, milliseconds: as seconds they would lie past the year 5000.
UNIX_UNITS = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"))


def ids(source: Source, name: str) -> pa.ChunkedArray:
    """A column of ids as strings; whole numbers become their digits."""
    column = source.table[name]
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_integer(kind) or is_text(kind) or pa.types.is_null(kind)):
        raise _wrong_type(source, name, "ids are text or whole numbers")
    texts = column.cast(pa.string())
    empty = pc.or_kleene(pc.is_null(texts), pc.equal(pc.utf8_length(texts), 0))
    if pc.any(empty).as_py():
        raise source.wrong(pc.index(empty, True).as_py(), name, "the id is missing", "fill it in or remove the row")
    return texts


def numbers(source: Source, name: str) -> pa.ChunkedArray:
    """A column of numbers as float32; NaN becomes null."""
    column = _convert(source, name, lambda part: part.cast(pa.float32()), "a number")
    infinite = pc.is_inf(column)
    if pc.any(infinite).as_py():
        raise source.wrong(pc.index(infinite, True).as_py(), name, "the number is infinite", "correct it or leave it empty")
    return pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float32()), column)


def integers(source: Source, name: str) -> pa.ChunkedArray:
    """A column of whole numbers as int64, none missing."""
    _whole(source, name)
    return _convert(source, name, lambda part: part.cast(pa.int64()), "a whole number")


def flags(source: Source, name: str) -> pa.ChunkedArray:
    """A column of yes and no as serving reads it (`banquet.wire.availability`), as true and false; missing is true."""
    return pc.fill_null(_convert(source, name, _yes_or_no, "yes or no"), fill_value=True)


def _yes_or_no(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not is_text(kind):
        return column.cast(pa.bool_())
    texts = column.cast(pa.string()).to_pylist()
    read = [reading(text) if text and text.strip() else True for text in texts]
    if None in read:
        raise pa.ArrowInvalid("neither yes nor no")
    return pa.chunked_array([read], pa.bool_())


def times(source: Source, name: str) -> pa.ChunkedArray:
    """A column of times as UTC microseconds: timestamps, dates, unix time (the unit shows in its size) or ISO 8601 text."""
    column = _whole(source, name)
    want = "a time: unix seconds or ISO 8601 such as 2025-01-31T12:00:00Z"
    if pa.types.is_temporal(column.type):
        return _convert(source, name, lambda part: part.cast(TIME, safe=False), want)
    if not is_text(column.type):
        return _convert(source, name, _unix, want)
    ways: tuple[Convert, ...] = (
        lambda part: _unix(part.cast(pa.float64())),
        lambda part: part.cast(TIME),
        lambda part: part.cast(pa.timestamp("us")).cast(TIME),
    )
    fitting = [way for way in ways if _fits(column.slice(0, 1), way)]
    return _convert(source, name, (fitting or ways[:1])[0], want)


def event_types(source: Source) -> pa.ChunkedArray:
    """The column `event_type`, or `rating` for all when there are values and `click` when there are none."""
    if "event_type" not in source.table.column_names:
        default = "rating" if "value" in source.table.column_names else "click"
        return pa.chunked_array([pa.array(np.full(source.table.num_rows, default), pa.string())])
    kinds = ids(source, "event_type")
    known = pc.is_in(kinds, pa.array(EVENT_TYPES))
    if not pc.all(known).as_py():
        row = pc.index(known, False).as_py()
        raise source.wrong(row, "event_type", f"unknown type {kinds[row].as_py()!r}", f"use one of {', '.join(EVENT_TYPES)}")
    return kinds


def feature(source: Source, name: str) -> pa.ChunkedArray:
    """A feature column in one of the types that a dataset may hold: text, lists of text, numbers or flags."""
    column = source.table[name]
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if is_text(kind) or pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_integer(kind):
        return _convert(source, name, lambda part: part.cast(pa.int64()), "a whole number of 64 bits")
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        return column.cast(pa.float32())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if pa.types.is_boolean(kind):
        return column
    if (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and is_text(kind.value_type):
        return column.cast(pa.list_(pa.string()))
    raise _wrong_type(source, name, "a feature is text, a list of text, a number or true/false")


def split(column: pa.ChunkedArray, separator: str = "|") -> pa.ChunkedArray:
    """Texts of several categories as lists: `Drama|War` -> [Drama, War]; empty text has none."""
    lists = pc.split_pattern(column.cast(pa.string()), separator)
    nothing = pa.scalar([], pa.list_(pa.string()))
    return pc.if_else(pc.equal(column.cast(pa.string()), ""), nothing, lists)


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _whole(source: Source, name: str) -> pa.ChunkedArray:
    column = source.table[name]
    if column.null_count:
        raise source.wrong(
            pc.index(pc.is_null(column), True).as_py(), name, "the value is missing", "fill it in or remove the row"
        )
    return column


def _unix(column: pa.ChunkedArray) -> pa.ChunkedArray:
    largest = pc.max(pc.abs(column)).as_py() or 0
    unit = next((unit for least, unit in UNIX_UNITS if largest >= least), "s")
    if pa.types.is_floating(column.type) and unit == "s":
        column, unit = pc.round(pc.multiply(column, 1e6)), "us"
    return column.cast(pa.int64()).cast(pa.timestamp(unit, tz="UTC")).cast(TIME, safe=False)


def _convert(source: Source, name: str, convert: Convert, want: str) -> pa.ChunkedArray:
    column = source.table[name]
    try:
        return convert(column)
    except pa.ArrowNotImplementedError as error:
        raise _wrong_type(source, name, f"wanted {want}") from error
    except pa.ArrowInvalid as error:
        low, high = 0, len(column)  # the first that does not fit is in column[low:high]
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _fits(column.slice(low, middle - low), convert) else (low, middle)
        raise source.wrong(low, name, f"{column[low].as_py()!r} is not {want}", "correct it or remove the row") from error


def _fits(column: pa.ChunkedArray, convert: Convert) -> bool:
    try:
        convert(column)
    except pa.ArrowInvalid:
        return False
    return True


def _wrong_type(source: Source, name: str, remedy: str) -> BadData:
    own = source.names.get(name, name)
    return BadData(f"{source.file}: column {own!r} has type {source.table[name].type}; {remedy}; convert or remove the column")
