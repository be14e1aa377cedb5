"""Events as a table: the dataset's interactions, with the request each belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from banquet.core.errors import BadData
from banquet.core.evaluation_users import is_evaluation_user
from banquet.training.datasets.dataset import EVENT_TYPES, INTERACTIONS, TIME

if TYPE_CHECKING:
    from pathlib import Path

EVENTS = INTERACTIONS.append(pa.field("request_id", pa.string()))
# What an export of the event stream calls them.
_OTHER_NAMES = {"type": "event_type", "time_us": "event_time"}


def read_export(path: Path) -> pa.Table:
    """Events from a parquet file or a folder of such: the columns of `EVENTS`, or `type` and `time_us` as in the event stream.

    `value` and `request_id` may be left out. Raises `BadData` naming the column.
    """
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{path}: not readable as parquet ({error}); name an export of events or the folder of the log") from error
    table = table.rename_columns([_OTHER_NAMES.get(name, name) for name in table.column_names])
    for name in ("event_id", "user_id", "item_id", "event_type", "event_time"):
        if name not in table.column_names:
            raise BadData(f"{path}: column {name!r} is missing; it has {', '.join(table.column_names)}")
    for name in ("value", "request_id"):
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows, EVENTS.field(name).type))
    return checked_events(str(path), table.select(EVENTS.names))


def checked_events(where: str, table: pa.Table) -> pa.Table:
    """The table under the types of `EVENTS`. Raises `BadData` naming the column."""
    columns = []
    for field in EVENTS:
        column = table[field.name]
        try:
            if field.type == TIME and pa.types.is_timestamp(column.type) and column.type.tz is None:
                column = column.cast(pa.timestamp("us")).cast(TIME)  # times without a zone are UTC
            columns.append(column.cast(field.type))
        except pa.ArrowException as error:
            raise BadData(f"{where}: column {field.name!r} is {column.type}, wanted {field.type} ({error})") from error
    events = pa.table(columns, schema=EVENTS)
    strange = events.filter(pc.invert(pc.is_in(events["event_type"], pa.array(EVENT_TYPES))))
    if strange.num_rows:
        raise BadData(f"{where}: event_type {strange['event_type'][0].as_py()!r}; allowed: {', '.join(EVENT_TYPES)}")
    return events


def of_real_users(rows: pa.Table) -> pa.Table:
    """The rows of a table with the column `user_id` that are not about evaluation users."""
    made_up = [user for user in pc.unique(rows["user_id"]).to_pylist() if user is not None and is_evaluation_user(user)]
    return rows.filter(pc.invert(pc.is_in(rows["user_id"], pa.array(made_up, rows["user_id"].type)))) if made_up else rows
