"""Every item's features as columns: one immutable version at a time."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from banquet.core.errors import StageFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from banquet.core.candidates import Mask, Rows
    from banquet.wire.catalogue_file import CatalogueFile, Column, Strings


@dataclass(frozen=True)
class Catalogue:
    """A version of the catalogue file with the look-ups a query needs. Rows are positions in this version, int32.

    `confirmed_at_s` (unix seconds) is when its content was last known to equal the online store.
    """

    file: CatalogueFile
    confirmed_at_s: float

    @property
    def version(self) -> str:
        return self.file.version

    def __len__(self) -> int:
        return len(self.file.ids)

    def age_s(self) -> float:
        return max(0.0, time.time() - self.confirmed_at_s)

    @cached_property
    def _code_of(self) -> dict[str, dict[str, int]]:
        return {}

    def confirmed(self, at_s: float) -> Catalogue:
        """The same version, known to equal the online store at a later moment (unix seconds); keeps its look-ups."""
        later = copy.copy(self)
        object.__setattr__(later, "confirmed_at_s", at_s)
        return later

    @cached_property
    def item_ids(self) -> list[str]:
        return self.file.ids.to_list()

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {item: row for row, item in enumerate(self.item_ids)}

    def rows_of(self, item_ids: Sequence[str]) -> Rows:
        """The row of each id, in order; -1 for an item the catalogue does not have."""
        row_of = self._row_of
        return np.fromiter((row_of.get(item, -1) for item in item_ids), np.int32, len(item_ids))

    def column(self, name: str) -> Column:
        """A feature of every item. Raises `StageFailed` when this version lacks it, which costs the stage, not the answer."""
        column = self.file.columns.get(name)
        if column is None:
            raise StageFailed("missing_column", f"{name!r} is not in catalogue {self.version}")
        return column

    def _codes(self, name: str, vocabulary: Strings) -> dict[str, int]:
        if name not in self._code_of:
            self._code_of[name] = {text: code for code, text in enumerate(vocabulary.to_list())}
        return self._code_of[name]

    def available(self) -> Mask:
        """Which items may be shown, bool [N]; all of them when the catalogue does not say."""
        column = self.file.columns.get("available")
        return np.ones(len(self), np.bool_) if column is None else column.values.astype(np.bool_)

    def holds(self, name: str, values: Sequence[str]) -> Mask:
        """Which items hold one of the values (as text) in a column, bool [N]."""
        column = self.column(name)
        wanted = set(values)
        if column.vocabulary is None:
            numbers = [number for value in wanted if (number := as_number(value)) is not None]
            return np.isin(column.values.astype(np.float64), numbers)
        known = self._codes(name, column.vocabulary)
        codes = np.array([known[text] for text in wanted if text in known], np.int32)
        hits: Mask = np.isin(column.values, codes)
        if column.offsets is None:
            return hits
        mask = np.zeros(len(self), np.bool_)
        mask[np.repeat(np.arange(len(self)), np.diff(column.offsets))[hits]] = True
        return mask


def as_number(text: str) -> float | None:
    """A number, or a truth as 1 or 0, as a person writes it; None for anything else."""
    try:
        return float({"true": "1", "false": "0"}.get(text.lower(), text))
    except ValueError:
        return None
