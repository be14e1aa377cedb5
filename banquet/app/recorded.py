"""The events of real users as a table, for training."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from banquet.core.errors import BadData
from banquet.feedback.tail import Tail
from banquet.training.served.events import EVENTS, of_real_users, read_export

if TYPE_CHECKING:
    from pathlib import Path

    from banquet.feedback.events import Event

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AT_ONCE = 100_000


def read_recorded(path: Path) -> pa.Table:
    """Events of an event log's folder, or of parquet exports of the same events, without those of evaluation users.

    Raises `BadData` naming file and column.
    """
    if path.suffix == ".parquet" or any(path.glob("*.parquet")):
        return of_real_users(read_export(path))
    if not path.is_dir():
        raise BadData(f"{path}: no folder of an event log; name one, or a parquet export of events, with --events")
    tail, offsets, parts = Tail(path), dict[str, int](), [EVENTS.empty_table()]
    while (batch := tail.read(offsets, _AT_ONCE)).offsets:
        offsets.update(batch.offsets)
        parts.append(_table(batch.events))
    return of_real_users(pa.concat_tables(parts))


def _table(events: list[Event]) -> pa.Table:
    columns = {
        "user_id": [event.user_id for event in events],
        "item_id": [event.item_id for event in events],
        "event_type": [event.type for event in events],
        "value": [event.value for event in events],
        "event_time": [_EPOCH + timedelta(microseconds=event.time_us) for event in events],
        "event_id": [event.event_id for event in events],
        "request_id": [event.request_id for event in events],
    }
    return pa.table(columns, schema=EVENTS)
