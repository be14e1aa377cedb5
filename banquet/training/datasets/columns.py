"""Turns columns as they come into canonical ones; the first value that does not fit is an error that names its row."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from banquet.core.limits import MAX_EVENT_ID_BYTES, MAX_ID_BYTES
from banquet.training.datasets.converting import converted, is_text, refuse, whole, wrong_type
from banquet.training.datasets.dataset import EVENT_TYPES
from banquet.training.datasets.typed import decimal_points

if TYPE_CHECKING:
    from collections.abc import Mapping

    from banquet.training.datasets.source import Source

LARGEST_EXACT = {pa.float16(): 2**11, pa.float32(): 2**24, pa.float64(): 2**53}
IGNORED = "ignore"
WHOLE = "a whole number, as ids are that are no texts"


def ids(source: Source, name: str) -> pa.ChunkedArray:
    """A column of ids as strings; whole numbers become their digits, also where they are stored as decimals."""
    column = source.table[name]
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        texts = _digits(source, name)
    elif pa.types.is_integer(kind) or is_text(kind) or pa.types.is_null(kind):
        texts = column.cast(pa.string())
    else:
        raise wrong_type(source, name, "ids are text or whole numbers")
    empty = pc.or_kleene(pc.is_null(texts), pc.equal(pc.utf8_trim_whitespace(texts), ""))
    refuse(source, name, empty, "the id is missing", "fill it in or remove the row")
    most_bytes = MAX_EVENT_ID_BYTES if name == "event_id" else MAX_ID_BYTES
    long = pc.greater(pc.binary_length(texts), most_bytes)
    refuse(source, name, long, f"the id has more than {most_bytes} bytes, which no request may ask for", "shorten it everywhere")
    return texts


def numbers(source: Source, name: str) -> pa.ChunkedArray:
    """A column of numbers as float32; NaN becomes null."""
    column = converted(source, name, lambda part: _with_points(source, part).cast(pa.float32()), "a number")
    refuse(source, name, pc.is_inf(column), "the number is infinite", "correct it or leave it empty")
    return pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float32()), column)


def integers(source: Source, name: str) -> pa.ChunkedArray:
    """A column of whole numbers as int64, none missing."""
    whole(source, name)
    return converted(source, name, lambda part: part.cast(pa.int64()), "a whole number")


def flags(source: Source, name: str) -> pa.ChunkedArray:
    """A column of true and false (also 1 and 0, or the words); missing is true."""
    return pc.fill_null(converted(source, name, lambda part: part.cast(pa.bool_()), "true or false"), fill_value=True)


def event_types(source: Source, meant: Mapping[str, str] = MappingProxyType({})) -> pa.ChunkedArray:
    """The column `event_type`, or `rating` for all when there are values and `click` when there are none.

    meant: which of Banquet's types the file's own stand for; those that stand for `ignore` become null.
    """
    if "event_type" not in source.table.column_names:
        default = "rating" if "value" in source.table.column_names else "click"
        return pa.chunked_array([pa.array(np.full(source.table.num_rows, default), pa.string())])
    own = ids(source, "event_type")
    known = {**{name: name for name in EVENT_TYPES}, **meant}
    place = pc.index_in(own, pa.array(list(known)))
    place = pc.coalesce(place, pc.index_in(pc.utf8_lower(own), pa.array(list(known))))
    if place.null_count:
        row = pc.index(pc.is_null(place), True).as_py()
        kind = own[row].as_py()
        raise source.wrong(
            row,
            "event_type",
            f"unknown type {kind!r}",
            f"use one of {', '.join(EVENT_TYPES)}, or say what it stands for: --event-types {kind}=click (or {kind}={IGNORED})",
        )
    stands_for = pa.array([None if name == IGNORED else name for name in known.values()], pa.string())
    return stands_for.take(place.combine_chunks())


def feature(source: Source, name: str) -> pa.ChunkedArray:
    """A feature column in one of the types that a dataset may hold: text, lists of text, numbers or flags."""
    column = source.table[name]
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if is_text(kind) or pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_integer(kind):
        return converted(source, name, lambda part: part.cast(pa.int64()), "a whole number of 64 bits")
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _finite(source, name, pa.float32() if kind in {pa.float16(), pa.float32()} else pa.float64())
    if pa.types.is_boolean(kind):
        return column
    if (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and is_text(kind.value_type):
        return column.cast(pa.list_(pa.string()))
    raise wrong_type(source, name, "a feature is text, a list of text, a number or true/false")


def _finite(source: Source, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    column = source.table[name].cast(kind)
    refuse(source, name, pc.is_inf(column), "the number is infinite", "correct it or leave it empty")
    return column


def _digits(source: Source, name: str) -> pa.ChunkedArray:
    """Decimals as the digits of the whole numbers that they are."""
    kind = source.table[name].type
    if pa.types.is_decimal(kind):
        return converted(source, name, lambda part: part.cast(pa.decimal128(38, 0)).cast(pa.string()), WHOLE)
    inexact = pc.greater(pc.abs(source.table[name]), LARGEST_EXACT[kind])
    refuse(source, name, inexact, f"{kind} does not keep so large a number exactly", "write ids as text or whole numbers")
    return converted(source, name, lambda part: _known(part).cast(pa.int64()).cast(pa.string()), WHOLE)


def _known(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)


def _with_points(source: Source, column: pa.ChunkedArray) -> pa.ChunkedArray:
    return decimal_points(source.written, column) if is_text(column.type) else column
