"""One table out of a file, or out of a folder of part files as Spark writes it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa

from banquet.core.errors import BadData
from banquet.training.datasets.files import read_csv, read_json_lines, read_parquet, renamed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from banquet.training.datasets.source import Source, TextFormat

KINDS = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson")
COMPRESSED = (".gz", ".bz2", ".zst")
TEXT_KINDS = KINDS[1:]
ENDINGS = (*KINDS, *(kind + ending for kind in TEXT_KINDS for ending in COMPRESSED))
# Spark ends its files of JSON lines so; elsewhere such a file is mostly one document.
PART_ENDINGS = (*ENDINGS, ".json", *(f".json{ending}" for ending in COMPRESSED))
LISTED = f"{', '.join(KINDS)} (all but .parquet also with {', '.join(COMPRESSED)})"


def is_table(path: Path) -> bool:
    """Whether it is a file of a kind that can be read, or a folder of part files."""
    return bool(part_files(path)) if path.is_dir() else path.name.lower().endswith(ENDINGS)


def find(folder: Path, table: str) -> Path | None:
    """The file or folder of a table in a folder, such as users.parquet. Raises `BadData` when there are two."""
    names = {table, *(table + ending for ending in ENDINGS)}
    found = sorted(path for path in folder.iterdir() if path.name.lower() in names and is_table(path))
    if len(found) > 1:
        raise BadData(f"{folder}: both {found[0].name} and {found[1].name} are there; leave the one that is meant")
    return found[0] if found else None


def part_files(folder: Path) -> list[Path]:
    """The part files of a table that is a folder, in the order of their names; those without any bytes are left out."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.is_dir() and "=" in path.name:  # a partition, such as day=2025-01-31
            found += part_files(path)
        elif path.name.startswith("part-") and path.name.lower().endswith(PART_ENDINGS) and path.stat().st_size:
            found.append(path)
    return found


def read_table(path: Path, names: Mapping[str, str], written: TextFormat) -> Source:
    """Columns under canonical names where `names` has them (canonical -> own). Raises `BadData`."""
    if not path.is_dir():
        if not is_table(path):
            raise BadData(f"{path}: not a kind of table that can be read; use {LISTED}")
        return renamed(_read(path, written), names)
    files = part_files(path)
    if not files:
        raise BadData(f"{path}: a folder without part files (part-*{', part-*'.join(KINDS)}); name a file or such a folder")
    parts = [_with_partitions(path, file, _read(file, written)) for file in files]
    kinds = sorted({part.unit for part in parts})
    if len(kinds) > 1:
        raise BadData(f"{path}: has part files of different kinds, such as {files[0].name}; leave those of one kind")
    try:
        table = pa.concat_tables([part.table for part in parts], promote_options="permissive")
    except pa.ArrowException as error:
        raise BadData(f"{path}: its part files have columns of different types ({error}); write them alike") from error
    rows = tuple((str(file.relative_to(path)), part.table.num_rows) for file, part in zip(files, parts, strict=True))
    return renamed(replace(parts[0], file=str(path), table=table, parts=rows), names)


def _read(file: Path, written: TextFormat) -> Source:
    name = file.name.lower()
    for ending in COMPRESSED:
        name = name.removesuffix(ending)
    if name.endswith(".parquet"):
        return read_parquet(file)
    return read_csv(file, written) if name.endswith((".csv", ".tsv")) else read_json_lines(file, written)


def _with_partitions(folder: Path, file: Path, source: Source) -> Source:
    """With the columns that folders such as `day=2025-01-31` stand for."""
    table = source.table
    for step in file.relative_to(folder).parent.parts:
        name, equals, value = step.partition("=")
        if equals and name not in table.column_names:
            table = table.append_column(name, pa.array([unquote(value)] * table.num_rows, pa.string()))
    return source.holding(table)
