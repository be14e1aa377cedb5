"""Compares a sample of the served log with Feast's historical features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from banquet.core.errors import BadData
from banquet.features.offline.historical import historical_features
from banquet.stages.sinks.served_files import served_files
from banquet.training.served.events import of_real_users
from banquet.training.served.skew import compare
from banquet.wire.catalogue_file import BadCatalogue, read_catalogue

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

    from banquet.features.project.repo import FeatureRepo
    from banquet.training.served.skew import FeatureSkew
    from banquet.wire.columns import Column

# Items are compared in so many of the sample's places: each answer has many.
MOST_ITEMS = 5_000


@dataclass(frozen=True, slots=True)
class Skew:
    """`features` worst first. Of the `answers` sampled, `unread` ones were given without the user's row; the items of `gone` ones
    could not be compared, since their version of the catalogue is no longer there.
    """

    answers: int
    unread: int
    gone: int
    features: tuple[FeatureSkew, ...]


@dataclass(frozen=True, slots=True)
class Served:
    """Values that models got: `who` (id, time of the answer, request) by row, and `columns` by feature."""

    who: list[tuple[str, datetime, str]]
    columns: dict[str, list[object]]

    def asked(self) -> pa.Table:
        times = pa.array([time for _, time, _ in self.who], pa.timestamp("us", "UTC"))
        return pa.table({"id": pa.array([one for one, _, _ in self.who], pa.string()), "time": times})

    def told(self) -> list[tuple[str, str, str]]:
        return [(one, time.isoformat(), request) for one, time, request in self.who]


def find_skew(
    served: Path, repo: FeatureRepo, catalogue: Path, *, sample: int, seed: int = 7, real_name: Callable[[str], str] = str
) -> Skew:
    """Compare `sample` random answers: their users, and the items shown as their catalogue had them.

    `real_name` turns the log's names of users into their ids. Raises `BadData` when the log is empty, `BadSettings` when Feast
    cannot answer.
    """
    answers = _sampled(served, sample, seed)
    if not answers.num_rows:
        raise BadData(f"{served}: no answers in the served log; serve some, or name its folder with --served")
    read = answers.filter(answers["user_found"])
    ids = [real_name(user) for user in read["user_id"].to_pylist()]
    users = Served(list(zip(ids, read["time"].to_pylist(), read["request_id"].to_pylist(), strict=True)), _users(read))
    items, gone = _items(answers, catalogue)
    by_entity = {entity: values for entity, values in (("user", users), ("item", items)) if values.who}
    historical = historical_features(repo, catalogue, {entity: values.asked() for entity, values in by_entity.items()})
    features = [
        skew
        for entity, values in by_entity.items()
        for skew in compare(entity, values.columns, historical[entity], values.told())
    ]
    features.sort(key=lambda skew: -skew.skewed / skew.compared)
    return Skew(answers.num_rows, answers.num_rows - read.num_rows, gone, tuple(features))


def _sampled(served: Path, sample: int, seed: int) -> pa.Table:
    """Random answers to real users of all files; each file is read twice, so that memory holds the sample alone."""
    files = served_files(served)
    counts = np.array([pq.read_metadata(file).num_rows for file in files], np.int64)
    chosen = np.sort(np.random.default_rng(seed).permutation(int(counts.sum()))[:sample])
    starts = np.cumsum(counts) - counts
    parts = []
    for file, start, count in zip(files, starts.tolist(), counts.tolist(), strict=True):
        rows = chosen[(chosen >= start) & (chosen < start + count)] - start
        if len(rows):
            parts.append(of_real_users(pq.read_table(file).take(rows)))
    return pa.concat_tables(parts, promote_options="permissive") if parts else pa.table({})


def _users(read: pa.Table) -> dict[str, list[object]]:
    user = read["user"].combine_chunks() if "user" in read.column_names else pa.StructArray.from_arrays([], [])
    features: dict[str, list[object]] = {field.name: pc.struct_field(user, field.name).to_pylist() for field in user.type}
    return features | {"history": read["history"].to_pylist()}


def _items(answers: pa.Table, folder: Path) -> tuple[Served, int]:
    """The items shown with every column of their catalogue, and how many answers' catalogues are gone."""
    found, gone = Served([], {}), 0
    for version in pc.unique(answers["catalogue"]).to_pylist():
        own = answers.filter(pc.equal(answers["catalogue"], version)).select(["time", "request_id", "candidates"])
        try:
            catalogue = read_catalogue(folder, version)
        except BadCatalogue:
            gone += own.num_rows
            continue
        shown = [
            (item["item_id"], row["time"], row["request_id"])
            for row in own.to_pylist()
            for item in row["candidates"]
            if item["position"] is not None
        ][: MOST_ITEMS - len(found.who)]
        row_of = {item: row for row, item in enumerate(catalogue.ids.to_list())}
        rows = np.array([row_of[item] for item, _, _ in shown], np.int64)
        before, after = len(found.who), len(found.who) + len(shown)
        found.who.extend(shown)
        for name, column in catalogue.columns.items():
            found.columns.setdefault(name, [None] * before).extend(_values(column.take(rows)))
        for values in found.columns.values():
            values.extend([None] * (after - len(values)))
    return found, gone


def _values(column: Column) -> list[object]:
    values: list[object] = column.values.tolist()
    if column.vocabulary is not None:
        names = column.vocabulary.to_list()
        values = [names[code] if code >= 0 else None for code in column.values.tolist()]
    if column.offsets is not None:
        values = [values[start:end] for start, end in zip(column.offsets[:-1], column.offsets[1:], strict=True)]
    absent: NDArray[np.uint8] = np.zeros(len(values), np.uint8) if column.absent is None else column.absent
    return [None if gone else value for value, gone in zip(values, absent.tolist(), strict=True)]
