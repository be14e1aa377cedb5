"""Types of text columns: whole numbers, decimals, true/false or text, and what a person should know about the choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from banquet.training.datasets.source import Source, TextFormat

WHOLE = r"^[+-]?\d+$"
NUMBER = r"(?i)^[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?)$"
DECIMAL_COMMA = r"^[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?$"
DATE = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?$"
# Digits that are no quantity: a number would lose the zero in front, or what is beyond 64 bits.
CODE = r"^[+-]?(0\d+|\d{19,})$"
# What people write among numbers where there is none. In a column of other texts these are values like any other.
NO_NUMBERS = ("NA", "N/A", "n/a", "na", "#N/A", "NAN", "-nan", "None", "none", "-", "\N{EN DASH}", "\N{EM DASH}", "?", ".")


@dataclass(frozen=True)
class TextColumn:
    """A column of texts as its different `values` [V] and the `codes` of its rows; masks [V] choose among the values."""

    source: Source
    name: str
    values: pa.Array
    codes: pa.Array

    @classmethod
    def of(cls, source: Source, name: str) -> TextColumn:
        encoded = source.table[name].combine_chunks().dictionary_encode()
        return cls(source, name, encoded.dictionary, encoded.indices)

    def rows(self, mask: pa.BooleanArray) -> int:
        return pc.sum(mask.take(self.codes)).as_py() or 0

    def first(self, mask: pa.BooleanArray) -> str:
        """The first value of a mask and where it stands."""
        row = pc.index(mask.take(self.codes), True).as_py()
        return f"{self.values[self.codes[row].as_py()].as_py()!r} in {self.source.row(row)}"

    def under(self, values: pa.Array) -> Source:
        """The source with other values in the place of the texts."""
        table = self.source.table
        return self.source.holding(table.set_column(table.column_names.index(self.name), self.name, values.take(self.codes)))

    def note(self, text: str) -> str:
        return f"column {self.source.own(self.name)!r} is taken as {text}"


def typed(source: Source, name: str) -> Source:
    """The source with one column of texts under the type that all of its values have; a choice between types is noted."""
    column = TextColumn.of(source, name)
    points = decimal_points(source.written, column.values)
    number = pc.and_not(pc.match_substring_regex(points, NUMBER), pc.match_substring_regex(points, CODE))
    missing = pc.is_in(column.values, pa.array(NO_NUMBERS))
    other = pc.invert(pc.or_(number, missing))
    if not pc.any(number).as_py() or pc.any(other).as_py():
        return column.under(_flags_or_dates(column.values)).noting(*_why_text(column, number, other))
    known = pc.utf8_ltrim(pc.if_else(number, points, pa.scalar(None, pa.string())), "+")
    numbers = known.cast(pa.int64() if pc.all(pc.match_substring_regex(known, WHOLE)).as_py() else pa.float64())
    return column.under(numbers).noting(*_what_is_missing(column, missing))


def decimal_points(written: TextFormat | None, texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Numbers with decimal commas as such with points, where that is the format; whatever else stays."""
    if written is None or written.decimal == ".":
        return texts
    points = pc.replace_substring(pc.replace_substring(texts, ".", ""), ",", ".")
    return pc.if_else(pc.match_substring_regex(texts, DECIMAL_COMMA), points, texts)


def _flags_or_dates(values: pa.Array) -> pa.Array:
    if len(values) and pc.all(pc.is_in(pc.utf8_lower(values), pa.array(["true", "false"]))).as_py():
        return values.cast(pa.bool_())
    if len(values) and pc.all(pc.match_substring_regex(values, DATE)).as_py():
        try:
            return values.cast(pa.timestamp("us"))
        except pa.ArrowInvalid:
            return values
    return values


def _why_text(column: TextColumn, number: pa.BooleanArray, other: pa.BooleanArray) -> list[str]:
    """Said where most values look like numbers: a person will have thought of the column as one of numbers."""
    code = pc.match_substring_regex(column.values, CODE)
    comma = pc.and_(pc.match_substring_regex(column.values, DECIMAL_COMMA), pc.match_substring(column.values, ","))
    numbers, codes, commas, others = (column.rows(mask) for mask in (number, code, comma, other))
    if codes and codes + numbers >= others - codes:
        return [column.note(f"text: {column.first(code)} is a code, which a number would change")]
    if commas > others - commas:
        return [column.note(f"text: {column.first(comma)} has a comma; where that is the decimal point, use --decimal ,")]
    if numbers >= others > 0:
        how_many = f"{numbers} of the {numbers + others} values are numbers"
        return [column.note(f"text: {column.first(other)} is no number ({how_many}); correct it, or name it with --missing")]
    return []


def _what_is_missing(column: TextColumn, missing: pa.BooleanArray) -> list[str]:
    rows = column.rows(missing)
    return [column.note(f"numbers: {column.first(missing)} is taken as missing ({rows} in all)")] if rows else []
