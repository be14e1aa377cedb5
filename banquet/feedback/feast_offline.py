"""Appends pushed rows to the Feast offline store that training reads.

Where a view's batch source is a folder of parquet, as in `feature_repo/`, rows become files of their own in it: Feast's own
append reads and writes the whole history for each batch. Any other offline store is appended to by Feast.
"""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast import FileSource
from feast.infra.offline_stores.offline_utils import get_pyarrow_schema_from_batch_source

from banquet.core.declared import entity_of
from banquet.core.ids import id_problem
from banquet.feedback.ports import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from feast import FeatureView
    from feast.data_source import DataSource

    from banquet.feedback.feast_push import FeastActivity
    from banquet.feedback.feast_views import OwnKey
    from banquet.feedback.ports import KeptRow

log = logging.getLogger(__name__)

PARTS = "part-*.parquet"
MANY_PARTS = 32
LARGE_BYTES = 16 << 20


class FeastOffline:
    """The offline store behind the views of `activity`. Used by one thread at a time."""

    def __init__(self, activity: FeastActivity, repo_path: Path) -> None:
        self._feast = activity.feast
        self._views = activity.views
        self._keys = {name: activity.own_keys[entity_of(name)] for name in self._views}
        self._folders = {name: folder for name, view in self._views.items() if (folder := _folder(view, repo_path))}

    def append(self, view: str, rows: Sequence[KeptRow], name: str) -> None:
        if view not in self._views:
            return
        source, key, folder = self._views[view].batch_source, self._keys[view], self._folders.get(view)
        try:
            if folder is not None:
                schema = pq.read_schema(next(folder.glob("*.parquet")))
            else:
                schema, _ = get_pyarrow_schema_from_batch_source(self._feast.config, source)
            fitting = [row for row in rows if _fits(row.entity_id, key, schema.field(key.join_key).type)]
            if len(fitting) < len(rows):
                # The others wait behind these: what can never be written must not hold them up.
                log.error("%d rows of %s are of ids that are no %s; they are left out", len(rows) - len(fitting), view, key.type)
            if not fitting:
                return
            table = _table(fitting, schema, source, key.join_key)
            if folder is not None:
                _append(folder, table, name)
            else:
                provider = self._feast._get_provider()  # noqa: SLF001 - Feast gives no public way to its store
                provider.ingest_df_to_offline_store(self._views[view], table)
        except Exception as error:  # each of Feast's stores raises classes of its own
            raise StoreUnavailable(f"{len(rows)} rows of {view} cannot be appended: {error}") from error

    def start_over(self) -> None:
        for folder in self._folders.values():
            for part in folder.glob(PARTS):
                part.unlink(missing_ok=True)

    def forget_user(self, user_id: str) -> None:
        """Rewrite the files that name the user; an offline store of another kind is its owner's to clean."""
        for view, folder in self._folders.items():
            if entity_of(view) == "user":
                for file in folder.glob("*.parquet"):
                    _forget(file, self._keys[view].join_key, user_id)


def _folder(view: FeatureView, repo_path: Path) -> Path | None:
    source = view.batch_source
    folder = repo_path / source.path if isinstance(source, FileSource) and "://" not in source.path else None
    return folder if folder is not None and folder.is_dir() else None


def _fits(entity_id: str, key: OwnKey, column: pa.DataType) -> bool:
    """Whether an id is a key, and the source's column can hold it."""
    if id_problem(key.type, entity_id):
        return False
    try:
        pa.scalar(entity_id).cast(column)
    except pa.ArrowInvalid:
        return False
    return True


def _table(rows: Sequence[KeptRow], schema: pa.Schema, source: DataSource, key: str) -> pa.Table:
    """Rows as the source has them; a column that nothing was pushed for is null."""
    times = pa.array([row.event_time_us for row in rows], pa.int64()).cast(pa.timestamp("us", "UTC"))
    known: dict[str, Any] = {
        key: pa.array([row.entity_id for row in rows]).cast(schema.field(key).type),
        source.timestamp_field: times,
        source.created_timestamp_column: [datetime.now(UTC)] * len(rows),
    }
    columns = {name: known[name] if name in known else [row.values.get(name) for row in rows] for name in schema.names}
    return pa.table(columns, schema=schema.remove_metadata())


def _append(folder: Path, table: pa.Table, name: str) -> None:
    _write(folder / f"part-{name}.parquet", table)
    small = sorted(part for part in folder.glob(PARTS) if part.stat().st_size < LARGE_BYTES)
    if len(small) >= MANY_PARTS:
        merged = small[0].with_name(f"{small[0].stem}-to-{small[-1].stem.rpartition('-')[2]}.parquet")
        _write(merged, pa.concat_tables([pq.read_table(part) for part in small]))
        for part in small:
            part.unlink()


def _write(file: Path, table: pa.Table) -> None:
    # A name with a dot in front is no part of the folder for those who read it.
    part = file.with_name(f".{file.name}.{os.getpid()}")
    pq.write_table(table, part, compression="zstd")
    part.replace(file)


def _forget(file: Path, key: str, user_id: str) -> None:
    table = pq.read_table(file)
    kept = table.filter(pc.not_equal(table[key].cast(pa.string()), user_id))
    if kept.num_rows < table.num_rows:
        _write(file, kept)
