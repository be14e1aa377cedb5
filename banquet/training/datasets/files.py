"""Reads parquet, CSV and other separated text into tables; a file that cannot be read is an error with its name."""

from __future__ import annotations

import gzip
import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from banquet.core.errors import BadData
from banquet.training.datasets.source import Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NULLS = ["", "null", "NULL", "nan", "NaN"]
DELIMITERS = ",;\t|"
BLOCK_BYTES = 1 << 26


def read_parquet(file: Path, names: Mapping[str, str] | None = None) -> Source:
    """A parquet file, its columns renamed by `names` (canonical name -> the file's own)."""
    _require_bytes(file)
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{file}: not readable as parquet ({error}); write the file again") from error
    return renamed(Source(str(file), table.replace_schema_metadata(None)), names or {})


def read_csv(file: Path, as_text: Sequence[str], names: Mapping[str, str] | None = None) -> Source:
    """A CSV file with a header, plain or .gz; `as_text` names the canonical columns whose text is kept as it stands."""
    content = _content(file)
    header = content[: content.find(b"\n") if b"\n" in content else len(content)].decode("utf-8", "replace")
    own = dict(names or {})
    texts = {own.get(column, column): pa.string() for column in as_text}
    try:
        table = csv.read_csv(
            io.BytesIO(content),
            csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),  # one thread: errors then name the row
            csv.ParseOptions(delimiter=max(DELIMITERS, key=header.count), newlines_in_values=True),
            csv.ConvertOptions(column_types=texts, strings_can_be_null=True, null_values=NULLS),
        )
    except pa.ArrowException as error:
        raise BadData(f"{file}: not readable as CSV ({error}); correct that row") from error
    return renamed(Source(str(file), table, first_row=2, unit="line"), own)


def read_separated(file: Path, columns: Sequence[str], separator: str) -> Source:
    """A text file without header as MovieLens has them (Latin-1, no quotes), every column as text."""
    content = _content(file)
    if len(separator) > 1:
        content, separator = content.replace(separator.encode(), b"\t"), "\t"
    try:
        table = csv.read_csv(
            io.BytesIO(content),
            csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=list(columns), encoding="latin-1"),
            csv.ParseOptions(delimiter=separator, quote_char=False),
            csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string())),
        )
    except pa.ArrowException as error:
        raise BadData(f"{file}: not {len(columns)} columns, {', '.join(columns)} ({error}); take the original file") from error
    return Source(str(file), table, unit="line")


def renamed(source: Source, names: Mapping[str, str]) -> Source:
    """The source with canonical column names, where it has the columns meant."""
    canonical = {own: name for name, own in names.items() if own in source.table.column_names}
    table = source.table.rename_columns([canonical.get(name, name) for name in source.table.column_names])
    if len(set(table.column_names)) < len(table.column_names):
        twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
        raise BadData(f"{source.file}: two columns would be named {', '.join(twice)}; rename one or map it to another name")
    return replace(source, table=table, names={name: own for own, name in canonical.items()})


def _content(file: Path) -> bytes:
    _require_bytes(file)
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError) as error:
        raise BadData(f"{file}: not readable ({error}); copy or download the file again") from error
    if not content.strip():
        raise BadData(f"{file}: the file is empty; give one with data")
    return content


def _require_bytes(file: Path) -> None:
    if not file.is_file():
        raise BadData(f"{file}: no such file; put it there or name another")
    if not file.stat().st_size:
        raise BadData(f"{file}: the file is empty; give one with data")
