"""A canonical dataset as the parquet sources of the Feast repo: profiles as they are, activity counted from the interactions."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from banquet.core.errors import BadData
from banquet.features.atomic import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

HISTORY_LENGTH = 50
TIME = pa.timestamp("us", tz="UTC")
COUNTERS = ("interaction_count", "rating_count", "rating_mean")
ACTIVITY_FEATURES = {"user": {"history", *COUNTERS}, "item": {*COUNTERS}}
_RESERVED = {"event_timestamp", "created"}


def write_sources(dataset: Path, data: Path) -> dict[str, int]:
    """Write `<view>.parquet` of the four views into `data`, each file atomically, and return their row counts.

    Profiles are valid from the moment the dataset was made, activity from the last interaction. Impressions are not
    interactions. Raises `BadData` naming the file and the column.
    """
    made_at = _made_at(dataset)
    events = _interactions(dataset)
    tables = {
        "user_profile": _profile(dataset, "user", made_at),
        "user_activity": _activity(events, "user", made_at),
        "item_profile": _profile(dataset, "item", made_at),
        "item_activity": _activity(events, "item", made_at),
    }
    data.mkdir(parents=True, exist_ok=True)
    for view, table in tables.items():
        with replacing(data / f"{view}.parquet") as part:
            pq.write_table(table, part, compression="zstd")
    return {view: table.num_rows for view, table in tables.items()}


def _profile(dataset: Path, entity: str, made_at: datetime) -> pa.Table:
    file = dataset / f"{entity}s.parquet"
    table = _read(file)
    key = f"{entity}_id"
    if key not in table.column_names:
        raise BadData(f"{file}: column {key!r} is missing; make the dataset again with `banquet data`")
    for name in table.column_names:
        if name in _RESERVED or name in ACTIVITY_FEATURES[entity]:
            raise BadData(f"{file}: column {name!r} is a name the activity features use; rename it and import the data again")
    if table.num_columns == 1:
        # Feast has no views without features; this one says that the user is known.
        table = table.append_column("known", pa.array(np.ones(table.num_rows, np.bool_)))
    return _stamped(table, pa.array([made_at] * table.num_rows, TIME), made_at)


def _activity(events: pa.Table, entity: str, made_at: datetime) -> pa.Table:
    ids = events[f"{entity}_id"].combine_chunks().dictionary_encode()
    owners = ids.indices.to_numpy()
    names = ids.dictionary
    counts = np.bincount(owners, minlength=len(names)).astype(np.int64)
    # Stable, so that each owner's events stay in time order.
    by_owner = np.argsort(owners, kind="stable")
    ends = np.cumsum(counts)
    rated = pc.and_(pc.equal(events["event_type"], "rating"), pc.is_valid(events["value"])).to_numpy(zero_copy_only=False)
    ratings = np.bincount(owners[rated], minlength=len(names)).astype(np.int64)
    stars = events["value"].to_numpy()[rated]
    sums = np.bincount(owners[rated], weights=stars, minlength=len(names))
    means = (sums / np.maximum(ratings, 1)).astype(np.float32)
    columns = {f"{entity}_id": names}
    if entity == "user":
        columns["history"] = _histories(events["item_id"].combine_chunks(), by_owner, counts, ends)
    columns |= {
        "interaction_count": pa.array(counts),
        "rating_count": pa.array(ratings),
        "rating_mean": pa.array(means, mask=ratings == 0),
    }
    last_times = events["event_time"].combine_chunks().take(pa.array(by_owner[ends - 1]))
    return _stamped(pa.table(columns), last_times, made_at)


def _histories(items: pa.Array, by_owner: Ints, counts: Ints, ends: Ints) -> pa.ListArray:
    """The last items of each owner, newest first."""
    lengths = np.minimum(counts, HISTORY_LENGTH)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    steps_back = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    newest_first = by_owner[np.repeat(ends - 1, lengths) - steps_back]
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items.take(pa.array(newest_first)))


def _interactions(dataset: Path) -> pa.Table:
    file = dataset / "interactions.parquet"
    table = _read(file)
    missing = {"user_id", "item_id", "event_type", "value", "event_time"} - set(table.column_names)
    if missing:
        raise BadData(f"{file}: column {min(missing)!r} is missing; make the dataset again with `banquet data`")
    return table.filter(pc.not_equal(table["event_type"], "impression"))


def _stamped(table: pa.Table, event_times: pa.Array, made_at: datetime) -> pa.Table:
    stamped = table.append_column("event_timestamp", event_times.cast(TIME))
    return stamped.append_column("created", pa.array([made_at] * table.num_rows, TIME))


def _made_at(dataset: Path) -> datetime:
    file = dataset / "dataset.json"
    try:
        return datetime.fromisoformat(json.loads(file.read_bytes())["created_at"])
    except FileNotFoundError as error:
        raise BadData(f"{file} does not exist; make a dataset with `banquet data synthetic` or `banquet data import`") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(f"{file}: created_at is not an ISO date ({error}); make the dataset again with `banquet data`") from error


def _read(file: Path) -> pa.Table:
    try:
        return pq.read_table(file)
    except FileNotFoundError as error:
        raise BadData(f"{file} does not exist; make the dataset again with `banquet data`") from error
    except pa.ArrowException as error:
        raise BadData(f"{file} is not readable parquet ({error}); make the dataset again with `banquet data`") from error
