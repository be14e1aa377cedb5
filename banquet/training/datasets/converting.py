"""Converts one column; the first value that does not fit is an error that names its row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from banquet.core.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Callable

    from banquet.training.datasets.source import Source

    Convert = Callable[[pa.ChunkedArray], pa.ChunkedArray]


def converted(source: Source, name: str, convert: Convert, want: str) -> pa.ChunkedArray:
    """What `convert` makes of a column. Raises `BadData` naming the row and what was wanted."""
    column = source.table[name]
    try:
        return convert(column)
    except pa.ArrowNotImplementedError as error:
        raise wrong_type(source, name, f"wanted {want}") from error
    except pa.ArrowInvalid as error:
        low, high = 0, len(column)  # the first that does not fit is in column[low:high]
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _fits(column.slice(low, middle - low), convert) else (low, middle)
        raise source.wrong(low, name, f"{column[low].as_py()!r} is not {want}", "correct it or remove the row") from error


def whole(source: Source, name: str) -> pa.ChunkedArray:
    """A column in which no value may be missing."""
    column = source.table[name]
    if column.null_count:
        raise source.wrong(
            pc.index(pc.is_null(column), True).as_py(), name, "the value is missing", "fill it in or remove the row"
        )
    return column


def refuse(source: Source, name: str, wrong: pa.ChunkedArray, what: str, remedy: str) -> None:
    """Raises `BadData` for the first value that a mask chooses, if any."""
    if pc.any(wrong).as_py():
        raise source.wrong(pc.index(wrong, True).as_py(), name, what, remedy)


def wrong_type(source: Source, name: str, remedy: str) -> BadData:
    return BadData(
        f"{source.file}: column {source.own(name)!r} has type {source.table[name].type}; {remedy}; convert or remove the column"
    )


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _fits(column: pa.ChunkedArray, convert: Convert) -> bool:
    try:
        convert(column)
    except pa.ArrowInvalid:
        return False
    return True
