"""A canonical dataset as the parquet sources of the Feast repo: profiles as they are, the rest counted from the interactions."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from banquet.core.declared import ACTIVITY, EVENT_TYPES, HISTORY_LENGTH, RECENT, VIEWS, WINDOWS, recent_values
from banquet.core.errors import BadData
from banquet.features.atomic import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from banquet.core.declared import Entity

    Ints = NDArray[np.int64]

TIME = pa.timestamp("us", tz="UTC")
RECENT_EVENTS = "recent_events.parquet"
ARROW_TYPES = {"STRING_LIST": pa.list_(pa.string()), "INT64": pa.int64(), "FLOAT": pa.float32()}
_RESERVED = {"event_timestamp", "created"}


def write_sources(dataset: Path, data: Path) -> dict[str, int]:
    """Write the parquet of all views into `data`, each file atomically, and return their row counts.

    Profiles and windows are as of the moment the dataset was made, activity as of the last interaction. Impressions are not
    interactions. What was pushed on top of an earlier dataset goes. Beside the views, `recent_events.parquet` gets the events
    that the windows hold, for them to slide. Raises `BadData` naming the file and the column.
    """
    made_at = _made_at(dataset)
    events = _events(dataset)
    interactions = events.filter(pc.not_equal(events["event_type"], "impression"))
    recent = _recent_events(events, made_at)
    tables = {
        "user_profile": _profile(dataset, "user", made_at),
        "user_activity": _activity(interactions, "user", made_at),
        "user_recent": _recent(recent, "user", made_at),
        "item_profile": _profile(dataset, "item", made_at),
        "item_activity": _activity(interactions, "item", made_at),
        "item_recent": _recent(recent, "item", made_at),
    }
    for view, table in tables.items():
        file = base_file(data, view)
        file.parent.mkdir(parents=True, exist_ok=True)
        for pushed in file.parent.glob("part-*.parquet"):
            pushed.unlink()
        _write(file, table)
    _write(data / RECENT_EVENTS, recent)
    return {view: table.num_rows for view, table in tables.items()}


def base_file(data: Path, view: str) -> Path:
    """Where a view's rows from the dataset are; views that are pushed to have a folder, for what was pushed stands beside."""
    return data / view / "base.parquet" if view in VIEWS else data / f"{view}.parquet"


def _write(file: Path, table: pa.Table) -> None:
    with replacing(file) as part:
        pq.write_table(table, part, compression="zstd")


def _profile(dataset: Path, entity: Entity, made_at: datetime) -> pa.Table:
    reserved = _RESERVED | {feature.name for feature in (*ACTIVITY[entity], *RECENT)}
    file = dataset / f"{entity}s.parquet"
    table = _read(file)
    key = f"{entity}_id"
    if key not in table.column_names:
        raise BadData(f"{file}: column {key!r} is missing; make the dataset again with `banquet data`")
    for name in table.column_names:
        if name in reserved:
            raise BadData(f"{file}: column {name!r} is a name that features of events use; rename it and import the data again")
    if table.num_columns == 1:
        # Feast has no views without features; this one says that the user is known.
        table = table.append_column("known", pa.array(np.ones(table.num_rows, np.bool_)))
    return _stamped(table, pa.array([made_at] * table.num_rows, TIME), made_at)


def _activity(events: pa.Table, entity: Entity, made_at: datetime) -> pa.Table:
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
        columns["history"] = _histories(events["item_id"].combine_chunks(), owners, by_owner)
    columns |= {
        "interaction_count": pa.array(counts),
        "rating_count": pa.array(ratings),
        "rating_mean": pa.array(means, mask=ratings == 0),
    }
    last_times = events["event_time"].combine_chunks().take(pa.array(by_owner[ends - 1]))
    return _stamped(pa.table(columns), last_times, made_at)


def _histories(items: pa.Array, owners: Ints, by_owner: Ints) -> pa.ListArray:
    """The last different items of each owner, newest first, each where it was last."""
    newest_first = by_owner[::-1]  # the last owner's first
    pairs = owners[newest_first] * len(items) + items.dictionary_encode().indices.to_numpy()[newest_first]
    last = newest_first[np.sort(np.unique(pairs, return_index=True)[1])]
    last = last[np.argsort(owners[last], kind="stable")]
    counts = np.bincount(owners[last])
    steps_back = np.arange(len(last)) - np.repeat(np.cumsum(counts) - counts, counts)
    offsets = np.concatenate([[0], np.cumsum(np.minimum(counts, HISTORY_LENGTH))])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items.take(pa.array(last[steps_back < HISTORY_LENGTH])))


def _recent_events(events: pa.Table, made_at: datetime) -> pa.Table:
    """The events that any window holds at that moment."""
    made_us = _microseconds(made_at)
    oldest_us = min(window.first_step(made_us) * window.step_s * 1_000_000 for window in WINDOWS)
    times = events["event_time"].cast(TIME)
    columns = {name: events[name] for name in ("user_id", "item_id", "event_type")} | {"event_time": times}
    return pa.table(columns).filter(pc.greater_equal(times, pa.scalar(oldest_us, TIME)))


def _recent(events: pa.Table, entity: Entity, made_at: datetime) -> pa.Table:
    """The windows of those who have anything in one of them."""
    made_us = _microseconds(made_at)
    counts: dict[str, list[dict[str, int]]] = {}
    times = events["event_time"].cast(pa.int64()).to_pylist()
    for owner, kind, time_us in zip(events[f"{entity}_id"].to_pylist(), events["event_type"].to_pylist(), times, strict=True):
        counted = counts.setdefault(owner, [dict.fromkeys(EVENT_TYPES, 0) for _ in WINDOWS])
        for window, of_type in zip(WINDOWS, counted, strict=True):
            if window.step_of(time_us) >= window.first_step(made_us):
                of_type[kind] += 1
    rows = [recent_values(counted) for counted in counts.values()]
    columns = {f"{entity}_id": pa.array(list(counts), pa.string())}
    columns |= {feature.name: pa.array([row[feature.name] for row in rows], ARROW_TYPES[feature.type]) for feature in RECENT}
    return _stamped(pa.table(columns), pa.array([made_at] * len(rows), TIME), made_at)


def _microseconds(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


def _events(dataset: Path) -> pa.Table:
    file = dataset / "interactions.parquet"
    table = _read(file)
    missing = {"user_id", "item_id", "event_type", "value", "event_time"} - set(table.column_names)
    if missing:
        raise BadData(f"{file}: column {min(missing)!r} is missing; make the dataset again with `banquet data`")
    return table


def _stamped(table: pa.Table, event_times: pa.Array, made_at: datetime) -> pa.Table:
    stamped = table.append_column("event_timestamp", event_times.cast(TIME))
    return stamped.append_column("created", pa.array([made_at] * table.num_rows, TIME))


def _made_at(dataset: Path) -> datetime:
    file = dataset / "dataset.json"
    try:
        made_at = datetime.fromisoformat(json.loads(file.read_bytes())["created_at"])
    except FileNotFoundError as error:
        raise BadData(f"{file} does not exist; make a dataset with `banquet data synthetic` or `banquet data import`") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(f"{file}: created_at is not an ISO date ({error}); make the dataset again with `banquet data`") from error
    return made_at if made_at.tzinfo else made_at.replace(tzinfo=UTC)


def _read(file: Path) -> pa.Table:
    try:
        return pq.read_table(file)
    except FileNotFoundError as error:
        raise BadData(f"{file} does not exist; make the dataset again with `banquet data`") from error
    except pa.ArrowException as error:
        raise BadData(f"{file} is not readable parquet ({error}); make the dataset again with `banquet data`") from error
