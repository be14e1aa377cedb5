"""Reads the served log: what was shown to real users, one row per item, with what the models saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from banquet.training.served.events import of_real_users

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

REQUEST = ("time", "request_id", "placement", "release", "catalogue", "user_id", "page_item_id", "history")
ITEM = ("item_id", "position", "rank", "source", "score", "ranking", "propensity")
_ELEMENT = "candidates.list.element"


def read_keys(file: Path) -> pa.Table:
    """Who was shown what and when: `time`, `request_id`, `user_id`, `item_id`. The rows are those of `read_shown`."""
    return _exploded(file, ("time", "request_id", "user_id"), ("item_id", "position")).drop_columns("position")


def read_shown(file: Path, user: pa.StructType) -> pa.Table:
    """Every shown item of a file with all that is known of its request; `user` holds the features wanted."""
    columns = (*REQUEST, "user") if "user" in pq.read_schema(file).names else REQUEST
    rows = _exploded(file, columns, ITEM)
    features = rows["user"].combine_chunks() if "user" in rows.column_names else None
    struct = _of_type(features, user, rows.num_rows)
    rows = rows.drop_columns("user") if features is not None else rows
    return rows.append_column("user", struct) if user.num_fields else rows


def user_type(files: Sequence[Path]) -> pa.StructType:
    """All user features of the files; the newest type of each, and text where none had a value."""
    types: dict[str, pa.DataType] = {}
    for file in files:
        schema = pq.read_schema(file)
        if "user" in schema.names:
            for field in schema.field("user").type:
                if not pa.types.is_null(field.type) or field.name not in types:
                    types[field.name] = field.type
    return pa.struct([(name, pa.string() if pa.types.is_null(kind) else kind) for name, kind in sorted(types.items())])


def _exploded(file: Path, request: Sequence[str], item: Sequence[str]) -> pa.Table:
    with pq.ParquetFile(file) as parquet:
        table = of_real_users(parquet.read([*request, *(f"{_ELEMENT}.{name}" for name in item)]))
    lists = table["candidates"].combine_chunks()
    items = pc.list_flatten(lists)
    shown = pc.indices_nonzero(pc.is_valid(pc.struct_field(items, "position")))
    parents = pc.list_parent_indices(lists).take(shown)
    rows = table.select(list(request)).take(parents)
    picked = items.take(shown)
    for name in item:
        rows = rows.append_column(name, pc.struct_field(picked, name))
    return rows


def _of_type(features: pa.StructArray | None, wanted: pa.StructType, rows: int) -> pa.StructArray:
    """The features under the wanted types; null where a file lacks one or has it as another type."""
    columns = []
    for field in wanted:
        at = -1 if features is None else features.type.get_field_index(field.name)
        same = at >= 0 and features is not None and features.type.field(at).type == field.type
        columns.append(pc.struct_field(features, field.name) if same else pa.nulls(rows, field.type))
    return pa.StructArray.from_arrays(columns, fields=list(wanted)) if columns else pa.nulls(rows, wanted)
