"""What a feature repo's stores and catalogue are like right now."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from banquet.core.errors import BadData
from banquet.features.offline.prepared import last_prepared
from banquet.features.project.repo import OtherStore, RedisStore, SqliteStore
from banquet.wire.catalogue_file import BadCatalogue, read_catalogue, read_pointer

if TYPE_CHECKING:
    from pathlib import Path

    from banquet.features.project.repo import FeatureRepo, Store
    from banquet.wire.catalogue_file import Column


@dataclass(frozen=True, slots=True)
class ColumnStatus:
    """One catalogue column; `missing` is the share of items without a value."""

    name: str
    view: str
    kind: str
    missing: float


@dataclass(frozen=True, slots=True)
class FeaturesStatus:
    """The online store, the dataset it was prepared from, and the catalogue in force (empty `version` when there is none)."""

    store: str
    dataset: str
    version: str
    items: int
    age_s: float
    columns: list[ColumnStatus]


def status_of(repo: FeatureRepo, catalogue: Path) -> FeaturesStatus:
    """Raises `BadData` when the catalogue in force cannot be read."""
    prepared = last_prepared(repo)
    dataset = f"{prepared[1].dataset}, prepared {prepared[1].at}" if prepared else ""
    try:
        pointer = read_pointer(catalogue)
        if pointer is None:
            return FeaturesStatus(_name(repo.store), dataset, "", 0, 0.0, [])
        file = read_catalogue(catalogue, pointer.version)
    except BadCatalogue as error:
        raise BadData(str(error)) from error
    columns = [ColumnStatus(name, column.view, column.kind, _missing(column)) for name, column in file.columns.items()]
    age_s = max(0.0, time.time() - pointer.confirmed_at_s)
    return FeaturesStatus(_name(repo.store), dataset, pointer.version, len(file.ids), age_s, columns)


def _name(store: Store) -> str:
    match store:
        case SqliteStore(file):
            return f"sqlite {file}"
        case RedisStore(options):
            return f"redis {options['host']}:{options['port']}"
        case OtherStore(kind):
            return kind


def _missing(column: Column) -> float:
    if column.offsets is not None:
        absent = np.diff(column.offsets) == 0
    elif column.kind == "category":
        absent = column.values < 0
    else:
        absent = np.isnan(column.values.astype(np.float64))
    if column.absent is not None:
        absent = absent | (column.absent > 0)
    return float(absent.mean()) if len(absent) else 0.0
