"""Reads whatever a path holds into a checked dataset; nothing is written here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from banquet.core.errors import BadData, BadSettings
from banquet.training.datasets.archives import unzip
from banquet.training.datasets.checks import checked
from banquet.training.datasets.detect import ARCHIVE, SEQUENCES, TABLES, detect
from banquet.training.datasets.dropping import Dropping, dropped
from banquet.training.datasets.movielens import (
    read_ml_1m,
    read_ml_1m_parquet,
    read_ml_10m,
    read_ml_100k,
    read_ml_100k_parquet,
    read_ml_csv,
)
from banquet.training.datasets.sequences import read_sequences
from banquet.training.datasets.source import TextFormat
from banquet.training.datasets.tables import find, is_table
from banquet.training.datasets.tabular import Naming, read_tabular

if TYPE_CHECKING:
    from collections.abc import Callable

    from banquet.training.datasets.dataset import Dataset
    from banquet.training.datasets.source import Raw

MOVIELENS = {
    "ml-100k": read_ml_100k,
    "ml-100k parquet": read_ml_100k_parquet,
    "ml-1m": read_ml_1m,
    "ml-1m parquet": read_ml_1m_parquet,
    "ml-10m": read_ml_10m,
    "ml-latest (also 20m, 25m, 32m)": read_ml_csv,
}


@dataclass(frozen=True)
class Reading:
    """How somebody's files are to be read: their names, how texts are written, and which events are left out."""

    naming: Naming = field(default_factory=Naming)
    written: TextFormat = field(default_factory=TextFormat)
    dropping: Dropping = field(default_factory=Dropping)


def import_data(
    path: Path,
    *,
    name: str | None = None,
    users: Path | None = None,
    items: Path | None = None,
    reading: Reading | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Dataset:
    """The dataset of a folder, file or zip archive. `say` is told what the user should know about the files.

    Raises `BadData` naming file, row, column and remedy.
    """
    reading = reading or Reading()
    found = detect(path)
    if found.kind == ARCHIVE:
        if users or items:
            raise BadSettings("--users and --items go with a table, not with an archive; unpack it first")
        return _unpacked(found.path, name, reading, say)
    if found.kind == TABLES:
        raw = _tables(found.path, name, users, items, reading)
    elif users or items or (reading.naming, reading.written) != (Naming(), TextFormat()):
        raise BadSettings(
            f"{found.path} is {found.kind}, whose form is known;"
            " do without --users, --items and what says how columns and texts are written"
        )
    else:
        raw = read_sequences(found.path) if found.kind == SEQUENCES else MOVIELENS[found.kind](found.path)
    raw = dropped(raw, reading.dropping)
    for note in raw.notes:
        say(note)
    return checked(replace(raw, name=name or raw.name))


def _unpacked(archive: Path, name: str | None, reading: Reading, say: Callable[[str], None]) -> Dataset:
    with TemporaryDirectory(prefix="banquet-") as folder:

        def lasting(text: str) -> str:
            """With the archive's name in the place of the folder's, which will be gone."""
            return text.replace(folder, str(archive))

        unzip(archive, Path(folder))
        try:
            return import_data(Path(folder), name=name or archive.stem, reading=reading, say=lambda note: say(lasting(note)))
        except BadData as error:
            raise BadData(lasting(str(error))) from error


def _tables(path: Path, name: str | None, users: Path | None, items: Path | None, reading: Reading) -> Raw:
    interactions: Path | None = path
    if not is_table(path):
        interactions, users, items = find(path, "interactions"), users or find(path, "users"), items or find(path, "items")
    if interactions is None:
        raise BadData(f"{path}: no interactions.parquet or interactions.csv; name the file itself")
    name = name or path.resolve().name.split(".")[0]
    return read_tabular(name, interactions, users, items, reading.naming, reading.written)
