"""Tells what a folder or file holds by the names of its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from banquet.core.errors import BadData
from banquet.training.datasets.tables import COMPRESSED, LISTED, find, is_table

if TYPE_CHECKING:
    from pathlib import Path

ARCHIVE, TABLES, SEQUENCES = "an archive", "tables", "sequences"
SIGNS = {
    "ml-100k": ("u.data", "u.user", "u.item"),
    "ml-1m": ("ratings.dat", "users.dat", "movies.dat"),
    "ml-10m": ("ratings.dat", "movies.dat"),
    "ml-latest (also 20m, 25m, 32m)": ("ratings.csv", "movies.csv"),
    "ml-1m parquet": ("ratings.parquet", "users.parquet", "movies.parquet"),
    "ml-100k parquet": ("ratings.parquet", "users.parquet", "items.parquet"),
}
SEQUENCE_ENDINGS = (".txt", *(f".txt{ending}" for ending in COMPRESSED))


@dataclass(frozen=True, slots=True)
class Found:
    """The kind of data and the folder or file that holds it."""

    kind: str
    path: Path


def detect(path: Path) -> Found:
    """Raises `BadData` when nothing known is there, saying what would be."""
    if not path.exists():
        raise BadData(f"{path}: no such file or folder; check the path")
    return _file(path) if path.is_file() else _folder(path)


def _file(path: Path) -> Found:
    name = path.name.lower()
    if name.endswith(".zip"):
        return Found(ARCHIVE, path)
    if is_table(path):
        return Found(TABLES, path)
    if name.endswith(SEQUENCE_ENDINGS):
        return Found(SEQUENCES, path)
    raise BadData(f"{path}: unknown kind of file; known are .zip, {LISTED} and .txt[.gz] with `user item` per line")


def _folder(path: Path) -> Found:
    for kind, files in SIGNS.items():
        if all((path / file).is_file() for file in files):
            return Found(kind, path)
    if is_table(path) or find(path, "interactions"):
        return Found(TABLES, path)
    inside = sorted(entry for entry in path.iterdir() if not entry.name.startswith((".", "__")))
    if len(inside) == 1:  # as archives are packed
        return detect(inside[0])
    sequences = [entry.name for entry in inside if entry.name.lower().endswith(SEQUENCE_ENDINGS)]
    hint = f"name one of its files: {', '.join(sequences)}" if sequences else "name a folder or file that holds one of these"
    known = "; ".join(f"{kind} ({', '.join(files)})" for kind, files in SIGNS.items())
    raise BadData(f"{path}: no known data; {hint}. Known: {known}; tables (interactions, users and items as {LISTED})")
