"""Tables as they were read, and what to call their parts in an error."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from banquet.core.errors import BadData, BadSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

# Texts that stand for a missing value in every column of a text file; empty text does, too.
MISSING_WORDS = ("null", "NULL", "nan", "NaN", r"\N")


@dataclass(frozen=True, slots=True)
class TextFormat:
    """How text files are written. `encoding` is that of files which are not UTF-8.

    `missing` are further words that stand for a missing value, `list_separator` joins the entries of lists.
    """

    encoding: str | None = None
    decimal: str = "."
    missing: tuple[str, ...] = ()
    list_separator: str = "|"

    def checked(self) -> TextFormat:
        """Itself. Raises `BadSettings` naming the option that is wrong."""
        if self.decimal not in {".", ","}:
            raise BadSettings(f"--decimal {self.decimal!r}: a point or a comma is needed")
        if not self.list_separator:
            raise BadSettings("--list-separator is empty; give what joins the categories, such as '|'")
        try:
            "a".encode(self.encoding or "utf-8")
        except LookupError as error:
            raise BadSettings(
                f"--encoding {self.encoding!r} is unknown; name one such as utf-8, latin-1, cp1252 or utf-16"
            ) from error
        return self


@dataclass(frozen=True)
class Source:
    """One table, of one file or of a folder's files.

    `names` gives the file's own name of a renamed column; rows of text files are counted as lines. `parts` are the names and
    numbers of rows of a folder's files. `kept` [N] numbers the rows in the file where some were dropped. `written` is the
    format of a file that has texts alone, whose types are yet to be found. `notes` are what the user should know.
    """

    file: str
    table: pa.Table
    names: Mapping[str, str] = field(default_factory=dict)
    first_row: int = 1
    unit: str = "row"
    parts: tuple[tuple[str, int], ...] = ()
    kept: NDArray[np.int64] | None = None
    written: TextFormat | None = None
    notes: tuple[str, ...] = ()

    def require(self, *columns: str) -> None:
        """Raises `BadData` when a column is not there, or when there are no rows."""
        for column in columns:
            if column not in self.table.column_names:
                has = ", ".join(self.own(name) for name in self.table.column_names)
                raise BadData(f"{self.file}: column {column!r} is missing; it has {has}; add it or use --map {column}=<its name>")
        if not self.table.num_rows:
            raise BadData(f"{self.file}: the file has no rows; give one with data")

    def own(self, column: str) -> str:
        """The file's own name of a column."""
        return self.names.get(column, column)

    def wrong(self, row: int, column: str, what: str, remedy: str) -> BadData:
        """The error for one value. `row` counts from 0."""
        return BadData(f"{self.file}, {self.row(row)}, column {self.own(column)!r}: {what}; {remedy}")

    def row(self, row: int) -> str:
        """What a person calls a row, such as `line 3`."""
        number = row if self.kept is None else int(self.kept[row])
        for part, rows in self.parts:
            if number < rows:
                return f"{self.unit} {number + self.first_row} of {part}"
            number -= rows
        return f"{self.unit} {number + self.first_row}"

    def holding(self, table: pa.Table) -> Source:
        """Another table of the same rows."""
        return replace(self, table=table)

    def only(self, keep: NDArray[np.bool_]) -> Source:
        """Some of the rows, which keep their numbers."""
        numbers = np.arange(len(keep)) if self.kept is None else self.kept
        return replace(self, table=self.table.filter(pa.array(keep)), kept=numbers[keep])

    def without(self, gone: NDArray[np.bool_], what: str) -> Source:
        """Without some of the rows, with a note that says how many there were, what they are and where the first is."""
        if not gone.any():
            return self
        first = self.row(int(np.argmax(gone)))
        return self.only(~gone).noting(f"{gone.sum():,} of {len(gone):,} {what}; left out, the first is in {first}")

    def noting(self, *notes: str) -> Source:
        """The same with notes on this file."""
        return replace(self, notes=(*self.notes, *notes))


@dataclass(frozen=True)
class Raw:
    """What a reader found, in canonical columns and types but not yet checked or sorted."""

    name: str
    interactions: Source
    users: Source | None = None
    items: Source | None = None
    time_is_real: bool = True

    @property
    def notes(self) -> list[str]:
        """What the user should know about the files."""
        sources = [source for source in (self.interactions, self.users, self.items) if source]
        return [f"{source.file}: {note}" for source in sources for note in source.notes]
