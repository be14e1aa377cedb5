"""The canonical dataset: three parquet files and `dataset.json` in one folder, complete or not there at all."""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from banquet.core.errors import BadData

if TYPE_CHECKING:
    from pathlib import Path

TIME = pa.timestamp("us", tz="UTC")
INTERACTIONS = pa.schema(
    {
        "user_id": pa.string(),
        "item_id": pa.string(),
        "event_type": pa.string(),
        "value": pa.float32(),
        "event_time": TIME,
        "event_id": pa.string(),
    }
)
EVENT_TYPES = ("impression", "click", "rating", "purchase")
FEATURE_TYPES = (pa.string(), pa.list_(pa.string()), pa.int64(), pa.float32(), pa.float64(), pa.bool_())
FILES = ("interactions.parquet", "users.parquet", "items.parquet", "dataset.json")


@dataclass(frozen=True)
class Dataset:
    """Interactions, users and items as Arrow tables in the canonical columns, interactions in time order.

    `text_columns` are columns of `items` for people to read, no features. `time_is_real` is False when only the order is.
    """

    name: str
    interactions: pa.Table
    users: pa.Table
    items: pa.Table
    text_columns: tuple[str, ...] = ("title",)
    time_is_real: bool = True
    created_at: str = ""

    @property
    def user_features(self) -> tuple[str, ...]:
        return tuple(name for name in self.users.column_names if name != "user_id")

    @property
    def item_features(self) -> tuple[str, ...]:
        return tuple(name for name in self.items.column_names if name not in {"item_id", "available", *self.text_columns})

    @classmethod
    def load(cls, folder: Path) -> Dataset:
        """The dataset of a folder. Raises `BadData` naming the file and column that is missing or of another type."""
        absent = [name for name in FILES if not (folder / name).is_file()]
        if absent:
            missing = ", ".join(absent)
            raise BadData(f"{folder} is no dataset, {missing} not there; make one with `banquet data import|download|synthetic`")
        try:
            meta = json.loads((folder / "dataset.json").read_text())
            interactions, users, items = (pq.read_table(folder / name) for name in FILES[:3])
            dataset = cls(
                meta["name"],
                interactions,
                users,
                items,
                tuple(meta["text_columns"]),
                bool(meta["time_is_real"]),
                str(meta["created_at"]),
            )
        except (pa.ArrowException, KeyError, ValueError) as error:
            raise BadData(f"{folder} cannot be read as a dataset ({error}); make it again with `banquet data`") from error
        dataset.check_columns(str(folder))
        return dataset

    def write(self, folder: Path) -> None:
        """Puts the dataset at `folder`; what was there stays until the new one is complete.

        Raises `BadData` when a folder is in the way that is no dataset.
        """
        self.check_columns(self.name)
        refuse_to_replace(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = folder.parent / f".{folder.name}.{uuid.uuid4().hex}.part"
        part.mkdir()
        try:
            for name, table in zip(FILES[:3], (self.interactions, self.users, self.items), strict=True):
                pq.write_table(table.replace_schema_metadata(None), part / name, compression="zstd")
            (part / "dataset.json").write_text(json.dumps(self.describe(), indent=2) + "\n")
            _swap(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def describe(self) -> dict[str, Any]:
        """What `dataset.json` holds."""
        return {
            "name": self.name,
            "users": self.users.num_rows,
            "items": self.items.num_rows,
            "interactions": self.interactions.num_rows,
            "created_at": self.created_at or datetime.now(UTC).isoformat(timespec="seconds"),
            "text_columns": list(self.text_columns),
            "user_features": list(self.user_features),
            "item_features": list(self.item_features),
            "time_is_real": self.time_is_real,
        }

    def check_columns(self, where: str) -> None:
        """Raises `BadData` naming the file and column that breaks the canonical form."""
        _require(where, "interactions.parquet", self.interactions, INTERACTIONS)
        _require(where, "users.parquet", self.users, pa.schema({"user_id": pa.string()}))
        _require(where, "items.parquet", self.items, pa.schema({"item_id": pa.string(), "available": pa.bool_()}))
        for file, table in (("users.parquet", self.users), ("items.parquet", self.items)):
            for field in table.schema:
                if field.type not in FEATURE_TYPES:
                    allowed = ", ".join(str(kind) for kind in FEATURE_TYPES)
                    raise BadData(f"{where}: {file}: column {field.name!r} is {field.type}; convert it to one of {allowed}")


def assemble(
    name: str,
    interactions: pa.Table,
    users: pa.Table | None = None,
    items: pa.Table | None = None,
    *,
    time_is_real: bool = True,
) -> Dataset:
    """A dataset out of canonical columns in any order: sorts by time (given order breaks ties), adds what may be left out.

    Users and items that only interactions name get a row without features. `available` defaults to True, `event_id` to
    `<name>-<row>`.
    """
    events = interactions
    if "event_id" not in events.column_names:
        rows = pc.cast(pa.array(range(events.num_rows), pa.int64()), pa.string())
        events = events.append_column("event_id", pc.binary_join_element_wise(f"{name}-", rows, ""))
    if "value" not in events.column_names:
        events = events.append_column("value", pa.nulls(events.num_rows, pa.float32()))
    order = pc.sort_indices(events["event_time"])  # stable
    events = events.take(order).select(INTERACTIONS.names).cast(INTERACTIONS)
    items = _with_everyone(items, "item_id", events)
    if "available" not in items.column_names:
        items = items.append_column("available", pa.array([True] * items.num_rows, pa.bool_()))
    text = ("title",) if "title" in items.column_names else ()
    return Dataset(name, events, _with_everyone(users, "user_id", events), items, text, time_is_real)


def refuse_to_replace(folder: Path) -> None:
    """Raises `BadData` when something is at `folder` that is not a dataset, which writing would destroy."""
    if folder.is_dir():
        if any(folder.iterdir()) and not (folder / "dataset.json").is_file():
            raise BadData(f"{folder} holds other files and no dataset; choose an empty or new folder with --out")
    elif folder.exists():
        raise BadData(f"{folder} is a file; choose an empty or new folder with --out")


def _with_everyone(table: pa.Table | None, key: str, events: pa.Table) -> pa.Table:
    named = pc.unique(events[key])
    if table is None:
        return pa.table({key: named})
    absent = named.filter(pc.invert(pc.is_in(named, pc.unique(table[key]))))
    return pa.concat_tables([table, pa.table({key: absent})], promote_options="default") if len(absent) else table


def _require(where: str, file: str, table: pa.Table, wanted: pa.Schema) -> None:
    for field in wanted:
        if field.name not in table.column_names:
            raise BadData(f"{where}: {file}: column {field.name!r} is missing; it has {', '.join(table.column_names)}")
        found = table.schema.field(field.name).type
        if found != field.type:
            raise BadData(f"{where}: {file}: column {field.name!r} is {found}, wanted {field.type}; import the data again")


def _swap(part: Path, folder: Path) -> None:
    if not folder.exists():
        part.rename(folder)
        return
    old = part.with_suffix(".old")
    folder.rename(old)
    try:
        part.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old)
