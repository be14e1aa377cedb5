"""Every item's features as columns: one immutable version at a time."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from banquet.core.errors import StageFailed
from banquet.wire.availability import AVAILABLE, availability
from banquet.wire.columns import NOT_STORED
from banquet.wire.item_index import ItemIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from numpy.typing import NDArray

    from banquet.core.candidates import Mask, Rows
    from banquet.wire.availability import Availability
    from banquet.wire.catalogue_file import CatalogueFile, Column, Strings

    T = TypeVar("T")

# Ids that were asked for are remembered up to so many, so that the index is asked once for each.
REMEMBERED = 1 << 18
FRESH_ITEMS = 100_000
PRESENT, NOT_FOUND = 1, 3  # Feast's FieldStatus


@dataclass(frozen=True, slots=True)
class Picked:
    """One feature of some items, in their order.

    `values` is an array of numbers, or a list: texts (None where missing), lists of texts, or arrays of numbers. `absent` uint8
    tells why there is no value (0 there is one, 1 a stored null, 2 nothing stored or no such item). `statuses` uint8 are Feast's
    FieldStatus and `event_times_us` int64 those of the feature's view.
    """

    values: NDArray[np.generic] | list[str | None] | list[list[str]] | list[NDArray[np.generic]]
    absent: NDArray[np.uint8]
    statuses: NDArray[np.uint8]
    event_times_us: NDArray[np.int64]


@dataclass(frozen=True)
class Catalogue:
    """A version of the catalogue file with the look-ups a query needs. Rows are positions in this version, int32.

    `confirmed_at_s` (unix seconds) is when its content was last known to equal the online store; `fresh_s` is how old it may be
    per 100,000 items.
    """

    file: CatalogueFile
    confirmed_at_s: float
    fresh_s: float = math.inf

    @property
    def version(self) -> str:
        return self.file.version

    def __len__(self) -> int:
        return len(self.file.ids)

    def age_s(self) -> float:
        return max(0.0, time.time() - self.confirmed_at_s)

    def is_stale(self) -> bool:
        """Whether it is older than it may be; a larger catalogue takes longer to read."""
        return self.age_s() > self.fresh_s * max(1.0, len(self) / FRESH_ITEMS)

    def confirmed(self, at_s: float) -> Catalogue:
        """The same version, known to equal the online store at a later moment (unix seconds); keeps its look-ups."""
        later = copy.copy(self)
        object.__setattr__(later, "confirmed_at_s", at_s)
        return later

    def following(self, before: Catalogue) -> Catalogue:
        """This version with what it has in common with the one before: nobody looks up again what stayed the same."""
        same = {name for name, digest in self.file.parts.items() if before.file.parts.get(name) == digest}
        if "ids" in same:
            self.__dict__["_rows"] = before._rows
        self._made.update({key: made for key, made in before._made.items() if set(made[0]) <= same})
        return self

    @property
    def item_ids(self) -> Strings:
        return self.file.ids

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {}

    @cached_property
    def _index(self) -> ItemIndex:
        return self.file.index or ItemIndex.of(self.file.ids)

    @cached_property
    def _made(self) -> dict[Hashable, tuple[tuple[str, ...], object]]:
        return {}

    def once(self, key: Hashable, parts: Sequence[str], make: Callable[[], T]) -> T:
        """What `make` makes of parts of this version (`ids`, `column:<name>`), made once for as long as they stay the same."""
        held = self._made.get(key)
        if held is None:
            held = self._made[key] = (tuple(parts), make())
        return cast("T", held[1])

    def rows_of(self, item_ids: Sequence[str]) -> Rows:
        """The row of each id, in order; -1 for an item the catalogue does not have."""
        if len(item_ids) > REMEMBERED // 4:
            return self._index.find(self.file.ids, item_ids)
        known = self._rows
        try:
            return np.fromiter(map(known.__getitem__, item_ids), np.int32, len(item_ids))
        except KeyError:
            # Some are asked for the first time.
            rows = [known.get(item) for item in item_ids]
        if None in rows:
            if len(known) > REMEMBERED:
                known.clear()
            new = list({item for item, row in zip(item_ids, rows, strict=True) if row is None})
            found = dict(zip(new, self._index.find(self.file.ids, new).tolist(), strict=True))
            known.update(found)
            rows = [found[item] if row is None else row for item, row in zip(item_ids, rows, strict=True)]
        return np.array(rows, np.int32)

    def ids_of(self, rows: Rows) -> list[str]:
        """The ids of some rows, in order."""
        return self.file.ids.take(rows)

    def column(self, name: str) -> Column:
        """A feature of every item. Raises `StageFailed` when this version lacks it, which costs the stage, not the answer."""
        column = self.file.columns.get(name)
        if column is None:
            raise StageFailed("missing_column", f"{name!r} is not in catalogue {self.version}")
        return column

    def get(self, item_ids: Sequence[str], columns: Sequence[str]) -> Mapping[str, Picked]:
        """Some features of some items, an unknown item's as NOT_FOUND. Raises `StageFailed` for a column there is not."""
        rows = self.rows_of(item_ids).astype(np.intp)
        unknown = rows < 0
        some_unknown = bool(unknown.any())
        nothing_absent = np.where(unknown, np.uint8(NOT_STORED), np.uint8(0))
        # Most columns share it.
        nothing_absent.flags.writeable = False
        views: dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]] = {}
        picked = {}
        for name in columns:
            column = self.column(name)
            if column.view not in views:
                statuses = np.where(unknown, np.uint8(NOT_FOUND), self.file.statuses[column.view][rows])
                views[column.view] = statuses, np.where(unknown, 0, self.file.event_times_us[column.view][rows])
            absent = nothing_absent
            if column.absent is not None:
                absent = np.where(unknown, np.uint8(NOT_STORED), column.absent[rows])
            gaps = absent > 0 if some_unknown or column.absent is not None else None
            picked[name] = Picked(self._values(name, column, rows, gaps), absent, *views[column.view])
        return picked

    def _values(
        self, name: str, column: Column, rows: NDArray[np.intp], gaps: Mask | None
    ) -> NDArray[np.generic] | list[str | None] | list[list[str]] | list[NDArray[np.generic]]:
        if column.kind == "number":
            values = column.values[rows]
            if gaps is not None:
                values[gaps] = np.nan if values.dtype.kind == "f" else 0
            return values
        if column.offsets is None:
            assert column.vocabulary is not None, "categories have a vocabulary"
            codes = column.values[rows]
            return self._texts(name, column.vocabulary, codes if gaps is None else np.where(gaps, -1, codes))
        begins, ends = column.offsets[rows], column.offsets[rows + 1]
        if gaps is not None:
            ends = np.where(gaps, begins, ends)
        bounds = list(zip(begins.tolist(), ends.tolist(), strict=True))
        if column.vocabulary is None:
            return [column.values[begin:end] for begin, end in bounds]
        texts = self._texts(
            name, column.vocabulary, np.concatenate([column.values[begin:end] for begin, end in bounds] or [rows])
        )
        flat, lists, at = cast("list[str]", texts), [], 0
        for begin, end in bounds:
            lists.append(flat[at : at + end - begin])
            at += end - begin
        return lists

    def _texts(self, name: str, vocabulary: Strings, codes: NDArray[np.int32]) -> list[str | None]:
        """The text of each code; None for -1."""
        if len(vocabulary) <= len(codes):
            words = self.once(
                ("words", name), [f"column:{name}"], lambda: np.array([*vocabulary.to_list(), None], dtype=np.object_)
            )
            texts_of: list[str | None] = words[codes].tolist()
            return texts_of
        known = codes >= 0
        texts = iter(vocabulary.take(codes[known]))
        return [next(texts) if has else None for has in known.tolist()]

    def available(self, rows: Rows | None = None) -> Mask:
        """Which items (some rows, or all N) may be shown, bool; all of them when the catalogue does not say."""
        shown = self.availability.shown
        return shown if rows is None else shown[rows]

    @property
    def availability(self) -> Availability:
        """Which items may be shown, and which have an `available` that says neither yes nor no."""
        return self.once(AVAILABLE, ("ids", f"column:{AVAILABLE}"), lambda: availability(self.file.columns, len(self)))

    def holds(self, name: str, values: Sequence[str], rows: Rows | None = None) -> Mask:
        """Which items (some rows, or all N) hold one of the values (as text, or as a number) in a column, bool."""
        column = self.column(name)
        wanted = set(values)
        held, owner = _cells_of(column, rows)
        if column.vocabulary is None:
            numbers = [number for value in wanted if (number := as_number(value)) is not None]
            hits: Mask = np.isin(held.astype(np.float64), numbers)
        else:
            vocabulary = column.vocabulary
            words = self.once(
                ("codes", name), [f"column:{name}"], lambda: {text: code for code, text in enumerate(vocabulary.to_list())}
            )
            hits = np.isin(held, np.array([words[text] for text in wanted if text in words], np.int32))
        if owner is not None:
            mask = np.zeros(len(self) if rows is None else len(rows), np.bool_)
            mask[owner[hits]] = True
            return mask
        if column.absent is not None:
            hits &= (column.absent if rows is None else column.absent[rows]) == 0
        return hits


def _cells_of(column: Column, rows: Rows | None) -> tuple[NDArray[np.generic], NDArray[np.intp] | None]:
    """What some rows (or all) hold, one behind the other, and the place in `rows` each belongs to; None when each holds one."""
    if rows is None:
        lengths = None if column.offsets is None else np.diff(column.offsets)
        return column.values, None if lengths is None else np.repeat(np.arange(len(lengths)), lengths)
    if column.offsets is None:
        return column.values[rows], None
    begins = column.offsets[rows]
    lengths = column.offsets[rows.astype(np.intp) + 1] - begins
    ends = np.cumsum(lengths)
    within = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - lengths, lengths)
    return column.values[np.repeat(begins, lengths) + within], np.repeat(np.arange(len(rows)), lengths)


def as_number(text: str) -> float | None:
    """A number, or a truth as 1 or 0, as a person writes it; None for anything else."""
    try:
        return float({"true": "1", "false": "0"}.get(text.lower(), text))
    except ValueError:
        return None
