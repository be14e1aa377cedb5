"""From the served log and the events to a training set: the canonical dataset, and a table of what was shown beside it."""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from banquet.core.errors import BadData
from banquet.training.datasets.dataset import INTERACTIONS, assemble, refuse_to_replace
from banquet.training.served.labels import Windows, label, micros
from banquet.training.served.shown import read_keys, read_shown, user_type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from banquet.training.datasets.dataset import Dataset

TABLE, ABOUT = "served.parquet", "served.json"


@dataclass(frozen=True, slots=True)
class Built:
    """What is in the table. `unripe` rows were left out because their windows were still open; `damaged` files, as unreadable.

    `positions` tells how many items were shown and taken at each position.
    """

    answers: int
    shown: int
    taken: int
    unripe: int
    damaged: int
    events: int
    windows: Windows
    positions: list[dict[str, int]]


def build(
    files: Sequence[Path],
    events: pa.Table,
    base: Dataset,
    out: Path,
    windows: Windows,
    until: datetime | None = None,
    name_user: Callable[[str], str] | None = None,
) -> Built:
    """Write the training set at `out`: `base` with the events, `served.parquet` and `served.json`; what was there is replaced.

    `until` is when the events end, by default now: what was shown so late that its windows reach beyond is left out.
    `name_user` says under which name the log has a user: the table then has those whom the dataset or the events know under their
    own. Raises `BadData` when there is nothing to learn from.
    """
    refuse_to_replace(out)
    ripe_until_us = int((until or datetime.now(UTC)).timestamp() * 1e6) - windows.longest_us
    whole = [file for file in files if _is_readable(file)]
    real = _real_names(base, events, name_user)
    keys = [_with_names(read_keys(file), real) for file in whole]
    ripe = [micros(part["time"]) <= ripe_until_us for part in keys]
    kept = [part.filter(pa.array(mask)) for part, mask in zip(keys, ripe, strict=True)]
    if not sum(part.num_rows for part in kept):
        raise BadData(
            f"{len(files)} files of the served log have nothing shown before {_text(ripe_until_us)}, the last time whose windows "
            "are over; serve something, wait, or take shorter windows"
        )
    shown = pa.concat_tables(kept)
    labels = label(shown, events, windows)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.parent / f".{out.name}.{uuid.uuid4().hex}.served"
    draft.mkdir()
    try:
        _write_table(draft / TABLE, whole, ripe, labels, real)
        built = Built(
            answers=pc.count_distinct(shown["request_id"]).as_py(),
            shown=shown.num_rows,
            taken=pc.sum(labels["taken"]).as_py(),
            unripe=sum(part.num_rows for part in keys) - shown.num_rows,
            damaged=len(files) - len(whole),
            events=events.num_rows,
            windows=windows,
            positions=_by_position(draft / TABLE),
        )
        (draft / ABOUT).write_text(json.dumps(asdict(built), indent=2) + "\n")
        with_events(base, events).write(out)
        for name in (TABLE, ABOUT):
            (draft / name).rename(out / name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return built


def with_events(base: Dataset, events: pa.Table) -> Dataset:
    """The dataset with the events it does not have yet, each once."""
    fresh = events.filter(pc.invert(pc.is_in(events["event_id"], pc.unique(base.interactions["event_id"]))))
    _, first = np.unique(fresh["event_id"].to_numpy(zero_copy_only=False).astype(str), return_index=True)
    fresh = fresh.take(np.sort(first)).select(INTERACTIONS.names)
    merged = assemble(
        base.name, pa.concat_tables([base.interactions, fresh]), base.users, base.items, time_is_real=base.time_is_real
    )
    return replace(merged, text_columns=base.text_columns)


def read_about(folder: Path) -> dict[str, Any] | None:
    """What `served.json` says; None for a dataset without what was served."""
    file = folder / ABOUT
    about: dict[str, Any] | None = json.loads(file.read_text()) if file.is_file() else None
    return about


def _write_table(place: Path, files: Sequence[Path], ripe: Sequence[Any], labels: pa.Table, real: pa.Table | None) -> None:
    user, writer, at = user_type(files), None, 0
    for file, mask in zip(files, ripe, strict=True):
        rows = _with_names(read_shown(file, user).filter(pa.array(mask)), real)
        part = labels.slice(at, rows.num_rows)
        at += rows.num_rows
        for name in labels.column_names:
            rows = rows.append_column(name, part[name])
        writer = writer or pq.ParquetWriter(place, rows.schema, compression="zstd")
        writer.write_table(rows)
    assert writer is not None, "there is a file"
    writer.close()


def _real_names(base: Dataset, events: pa.Table, name_user: Callable[[str], str] | None) -> pa.Table | None:
    """`name` and `user_id` of everybody known; None where the log has the users' own ids."""
    if name_user is None:
        return None
    known = pc.unique(pa.chunked_array(base.users["user_id"].chunks + events["user_id"].chunks, pa.string())).to_pylist()
    return pa.table({"name": pa.array([name_user(user) for user in known], pa.string()), "user_id": pa.array(known, pa.string())})


def _with_names(rows: pa.Table, real: pa.Table | None) -> pa.Table:
    if real is None:
        return rows
    users = real["user_id"].take(pc.index_in(rows["user_id"], real["name"]))
    at = rows.column_names.index("user_id")
    return rows.set_column(at, "user_id", pc.coalesce(users, rows["user_id"]))


def _by_position(table: Path) -> list[dict[str, int]]:
    counted = (
        pq.read_table(table, columns=["position", "taken"]).group_by("position").aggregate([("taken", "count"), ("taken", "sum")])
    )
    rows = zip(*(counted[name].to_pylist() for name in ("position", "taken_count", "taken_sum")), strict=True)
    return [{"position": position, "shown": shown, "taken": taken} for position, shown, taken in sorted(rows)]


def _is_readable(file: Path) -> bool:
    try:
        pq.read_metadata(file)
    except (pa.ArrowException, OSError):
        return False
    return True


def _text(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="seconds")
