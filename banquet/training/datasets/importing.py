"""Reads whatever a path holds into a checked dataset; nothing is written here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from banquet.core.errors import BadData, BadSettings
from banquet.training.datasets.archives import unzip
from banquet.training.datasets.checks import checked
from banquet.training.datasets.detect import ARCHIVE, SEQUENCES, TABLES, detect
from banquet.training.datasets.movielens import read_ml_1m, read_ml_1m_parquet, read_ml_100k, read_ml_100k_parquet
from banquet.training.datasets.sequences import read_sequences
from banquet.training.datasets.tabular import Naming, find, read_tabular

if TYPE_CHECKING:
    from banquet.training.datasets.dataset import Dataset
    from banquet.training.datasets.source import Raw

MOVIELENS = {
    "ml-100k": read_ml_100k,
    "ml-100k parquet": read_ml_100k_parquet,
    "ml-1m": read_ml_1m,
    "ml-1m parquet": read_ml_1m_parquet,
}


def import_data(
    path: Path,
    *,
    name: str | None = None,
    users: Path | None = None,
    items: Path | None = None,
    naming: Naming | None = None,
) -> Dataset:
    """The dataset of a folder, file or zip archive. Raises `BadData` naming file, row, column and remedy."""
    found = detect(path)
    if found.kind == ARCHIVE:
        if users or items:
            raise BadSettings("--users and --items go with a table, not with an archive; unpack it first")
        with TemporaryDirectory(prefix="banquet-") as folder:
            unzip(found.path, Path(folder))
            return import_data(Path(folder), name=name or found.path.stem, naming=naming)
    if found.kind == TABLES:
        raw = _tables(found.path, name, users, items, naming or Naming())
    elif users or items or (naming and naming != Naming()):
        raise BadSettings(
            f"{found.path} is {found.kind}, whose columns are known; do without --users, --items, --map, --lists and --leave-out"
        )
    else:
        raw = read_sequences(found.path) if found.kind == SEQUENCES else MOVIELENS[found.kind](found.path)
    return checked(replace(raw, name=name or raw.name))


def _tables(path: Path, name: str | None, users: Path | None, items: Path | None, naming: Naming) -> Raw:
    if path.is_file():
        return read_tabular(name or path.name.split(".")[0], path, users, items, naming)
    interactions = find(path, "interactions")
    if interactions is None:
        raise BadData(f"{path}: no interactions.parquet or interactions.csv; name the file itself")
    return read_tabular(
        name or path.resolve().name, interactions, users or find(path, "users"), items or find(path, "items"), naming
    )
