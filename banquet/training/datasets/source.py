"""Tables as they were read, and what to call their parts in an error."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from banquet.core.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa


@dataclass(frozen=True)
class Source:
    """One table of one file. `names` gives the file's own name of a renamed column; rows of text files are counted as lines."""

    file: str
    table: pa.Table
    names: Mapping[str, str] = field(default_factory=dict)
    first_row: int = 1
    unit: str = "row"

    def require(self, *columns: str) -> None:
        """Raises `BadData` when a column is not there, or when there are no rows."""
        for column in columns:
            if column not in self.table.column_names:
                has = ", ".join(self.names.get(name, name) for name in self.table.column_names)
                raise BadData(f"{self.file}: column {column!r} is missing; it has {has}; add it or use --map {column}=<its name>")
        if not self.table.num_rows:
            raise BadData(f"{self.file}: the file has no rows; give one with data")

    def wrong(self, row: int, column: str, what: str, remedy: str) -> BadData:
        """The error for one value. `row` counts from 0."""
        return BadData(f"{self.file}, {self.row(row)}, column {self.names.get(column, column)!r}: {what}; {remedy}")

    def holding(self, table: pa.Table) -> Source:
        """Another table of the same rows."""
        return replace(self, table=table)

    def row(self, row: int) -> str:
        return f"{self.unit} {row + self.first_row}"


@dataclass(frozen=True)
class Raw:
    """What a reader found, in canonical columns and types but not yet checked or sorted."""

    name: str
    interactions: Source
    users: Source | None = None
    items: Source | None = None
    time_is_real: bool = True
