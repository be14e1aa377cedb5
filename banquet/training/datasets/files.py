"""Reads parquet, JSON lines, CSV and other separated text into tables; a file that cannot be read is an error with its name."""

from __future__ import annotations

import csv as python_csv
import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv, json

from banquet.core.errors import BadData
from banquet.training.datasets.content import require_bytes, text_of
from banquet.training.datasets.source import MISSING_WORDS, Source, TextFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

DELIMITERS = ",;\t|"
BLOCK_BYTES = 1 << 26
# A column that pandas made of its row numbers, as it is named in CSV, in CSV read and written again, and in parquet.
INDEX = re.compile(r"(Unnamed: \d+|__index_level_\d+__)?")


def read_parquet(file: Path, names: Mapping[str, str] | None = None) -> Source:
    """A parquet file, its columns renamed by `names` (canonical name -> the file's own)."""
    require_bytes(file)
    try:
        # As one file: what its folder is called makes no columns here.
        table = pq.ParquetFile(file).read()
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{file}: not readable as parquet ({error}); write the file again") from error
    return renamed(_without_index(Source(str(file), table.replace_schema_metadata(None))), names or {})


def read_json_lines(file: Path, written: TextFormat) -> Source:
    """One JSON object per line."""
    content = text_of(file, written.encoding)
    try:
        table = json.read_json(io.BytesIO(content), json.ReadOptions(use_threads=False, block_size=BLOCK_BYTES))
    except pa.ArrowException as error:
        raise BadData(f"{file}: not readable as JSON lines ({error}); write one object per line") from error
    return Source(str(file), table, unit="object")


def read_csv(file: Path, written: TextFormat) -> Source:
    """A CSV file with a header, its columns as texts without the blanks around them; null where missing."""
    content = text_of(file, written.encoding)
    header = re.split(rb"[\r\n]", content.lstrip(b"\r\n"), maxsplit=1)[0].decode()
    delimiter = max(DELIMITERS, key=header.count)
    names = next(python_csv.reader(io.StringIO(header), delimiter=delimiter))
    try:
        table = csv.read_csv(
            io.BytesIO(content),
            csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),  # one thread: errors then name the row
            csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
        )
    except pa.ArrowException as error:
        raise BadData(f"{file}: not readable as CSV ({error}); correct that row") from error
    missing = pa.array(["", *MISSING_WORDS, *written.missing])
    texts = [_without(column, missing) for column in table.columns]
    named = pa.Table.from_arrays(texts, [name.strip() for name in table.column_names])
    source = Source(str(file), named, first_row=2, unit="line", written=written)
    if content.count(b"\n") + (not content.endswith(b"\n")) != table.num_rows + 1:
        # Blank lines, or line ends within quotes: the number of a row is not that of a line.
        source = replace(source, first_row=1, unit="row")
    return _without_index(source)


def read_separated(file: Path, columns: Sequence[str], separator: str) -> Source:
    """A text file without header as MovieLens has them (UTF-8 or Latin-1, no quotes), every column as text."""
    content = text_of(file, "latin-1")
    if len(separator) > 1:
        content, separator = content.replace(separator.encode(), b"\t"), "\t"
    try:
        table = csv.read_csv(
            io.BytesIO(content),
            csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=list(columns)),
            csv.ParseOptions(delimiter=separator, quote_char=False),
            csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string())),
        )
    except pa.ArrowException as error:
        raise BadData(f"{file}: not {len(columns)} columns, {', '.join(columns)} ({error}); take the original file") from error
    return Source(str(file), table, unit="line")


def renamed(source: Source, names: Mapping[str, str]) -> Source:
    """The source with canonical column names (canonical -> the file's own), where it has the columns meant."""
    canonical = {own: name for name, own in names.items() if own in source.table.column_names}
    table = source.table.rename_columns([canonical.get(name, name) for name in source.table.column_names])
    if len(set(table.column_names)) < len(table.column_names):
        twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
        raise BadData(f"{source.file}: two columns would be named {', '.join(twice)}; rename one or map it to another name")
    return replace(source, table=table, names={name: own for own, name in canonical.items()})


def _without(column: pa.ChunkedArray, missing: pa.Array) -> pa.ChunkedArray:
    texts = pc.utf8_trim(column.cast(pa.string()), " \t")
    return pc.if_else(pc.is_in(texts, missing), pa.scalar(None, pa.string()), texts)


def _without_index(source: Source) -> Source:
    names = source.table.column_names
    index = [place for place, name in enumerate(names) if INDEX.fullmatch(name)]
    if not index:
        return source
    kept = source.table.select([place for place in range(len(names)) if place not in index])
    shown = ", ".join(f"column {place + 1}" + (f" ({names[place]})" if names[place] else "") for place in index)
    return source.holding(kept).noting(f"{shown} has no name of its own, as row numbers have that pandas writes; left out")
