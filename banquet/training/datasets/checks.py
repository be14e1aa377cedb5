"""What must hold of all rows together before a dataset is made of them; the first break is one error with its row and remedy."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from banquet.core.errors import BadData
from banquet.training.datasets.dataset import TIME, assemble

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from banquet.training.datasets.dataset import Dataset
    from banquet.training.datasets.source import Raw, Source


def checked(raw: Raw, now: datetime | None = None) -> Dataset:
    """The dataset of what was read. Raises `BadData` naming file, row, column and remedy."""
    raw.interactions.require("user_id", "item_id", "event_time", "event_type")
    _no_future(raw.interactions, now or datetime.now(UTC))
    _no_repeated_ids(raw.interactions, "event_id")
    _no_repeated_events(raw.interactions)
    _one_spelling(raw, "user_id")
    _one_spelling(raw, "item_id")
    if raw.users:
        raw.users.require("user_id")
        _no_repeated_ids(raw.users, "user_id")
    if raw.items:
        raw.items.require("item_id")
        _no_repeated_ids(raw.items, "item_id")
        _no_unknown_items(raw.interactions, raw.items)
    _no_clashing_names(raw)
    users, items = (source.table if source else None for source in (raw.users, raw.items))
    return assemble(raw.name, raw.interactions.table, users, items, time_is_real=raw.time_is_real)


def _no_future(source: Source, now: datetime) -> None:
    late = pc.greater(source.table["event_time"], pa.scalar(now, TIME))
    if pc.any(late).as_py():
        row = pc.index(late, True).as_py()
        time = source.table["event_time"][row].as_py().isoformat()
        raise source.wrong(row, "event_time", f"{time} is in the future", "correct it or remove the row; times are UTC")


def _no_repeated_ids(source: Source, column: str) -> None:
    if column not in source.table.column_names:
        return
    repeat = _first_repeat(codes_of(source.table[column]))
    if repeat:
        first, again = repeat
        value = source.table[column][again].as_py()
        raise source.wrong(again, column, f"{value!r} is in {source.row(first)} already", "keep one of the two rows")


def _no_repeated_events(source: Source) -> None:
    columns = ("user_id", "item_id", "event_time", "event_type")
    repeat = _first_repeat(*(codes_of(source.table[column]) for column in columns))
    if repeat:
        first, again = repeat
        what = ", ".join(str(source.table[column][again].as_py()) for column in columns)
        named = ", ".join(source.names.get(column, column) for column in columns)
        raise BadData(
            f"{source.file}, {source.row(again)}, columns {named}: the event ({what}) is in {source.row(first)} already;"
            " keep one, or use --drop-duplicates where they are the same in all columns"
        )


def _one_spelling(raw: Raw, key: str) -> None:
    """An id that a program made of another one by the way is another id to all who ask: 7.0 of 7, or `a ` of `a`."""
    sources = [source for source in (raw.interactions, raw.users, raw.items) if source and key in source.table.column_names]
    different = pc.unique(pa.chunked_array([chunk for source in sources for chunk in source.table[key].chunks], pa.string()))
    meant = pc.replace_substring_regex(pc.utf8_trim_whitespace(different), r"^([+-]?\d+)\.0+$", r"\1")
    twice = different.filter(pc.and_(pc.not_equal(meant, different), pc.is_in(meant, different)))
    for source in sources if len(twice) else ():
        row = pc.index(pc.is_in(source.table[key], twice), True).as_py()
        if row >= 0:
            spelled = source.table[key][row].as_py()
            right = meant[different.index(spelled).as_py()].as_py()
            raise source.wrong(
                row, key, f"{spelled!r} is another id than {right!r}, which is there too", "spell it alike everywhere"
            )


def _no_unknown_items(interactions: Source, items: Source) -> None:
    known = pc.is_in(interactions.table["item_id"], pc.unique(items.table["item_id"]))
    if not pc.all(known).as_py():
        row = pc.index(known, False).as_py()
        item = interactions.table["item_id"][row].as_py()
        raise interactions.wrong(
            row,
            "item_id",
            f"item {item!r} is not in {items.file}",
            "add the item there, remove the row, or leave out all such rows with --drop-unknown-items",
        )


def _no_clashing_names(raw: Raw) -> None:
    if raw.users and raw.items and (both := set(raw.users.table.column_names) & set(raw.items.table.column_names)):
        own = ", ".join(repr(raw.items.names.get(name, name)) for name in sorted(both))
        raise BadData(
            f"{raw.items.file}: columns {own} have names that are used in {raw.users.file} too; rename them in one of them"
        )


def codes_of(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Numbers that are the same where the values are."""
    if pa.types.is_timestamp(column.type):
        return np.asarray(column.cast(pa.int64()).to_numpy(), np.int64)
    codes = column.combine_chunks().dictionary_encode().indices
    return np.asarray(pc.fill_null(codes, -1).to_numpy(), np.int64)


def repeats(*codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows whose codes an earlier row has too: (the row just before with them, that row), in the order of their codes."""
    order = np.lexsort(codes)  # stable: equal rows keep their order
    same = np.ones(max(len(order) - 1, 0), bool)
    for code in codes:
        same &= code[order[1:]] == code[order[:-1]]
    pairs = np.flatnonzero(same)
    return order[pairs], order[pairs + 1]


def _first_repeat(*codes: NDArray[np.int64]) -> tuple[int, int] | None:
    """The first row whose codes an earlier row has too: (the earlier row, that row)."""
    before, again = repeats(*codes)
    if not len(again):
        return None
    first = np.argmin(again)
    return int(before[first]), int(again[first])
