"""The files of the served log: a folder per hour, and in it one parquet file per flush of each process.

`<hour>/<process>-<number>.parquet` is whole from the moment it has that name; it is written under a hidden name before. So a
crash leaves nothing that a reader could stumble over, and costs only what was not yet flushed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

HOUR = "%Y-%m-%dT%H"
# A flush takes less than a second: a hidden file as old as this belonged to a process that died.
TORN_AFTER_S = 600.0
FLUSH_PATIENCE_S = 5.0
_FORGOTTEN = ".forgotten"
_LATE_S = 7200.0
# Scores hardly repeat, so that looking for repetitions in them costs time for nothing.
_DICTIONARY = [
    "placement",
    "release",
    "catalogue",
    "user_id",
    "history.list.element",
    *(f"candidates.list.element.{name}" for name in ("item_id", "source", "rank", "propensity", "position")),
    "degradations.list.element.stage",
    "degradations.list.element.reason",
]
# What is worth squeezing. The bits of scores look like chance: an eighth of the size would take a quarter of the time of writing.
_SQUEEZED = [
    "request_id",
    "user_id",
    "history.list.element",
    *(f"candidates.list.element.{name}" for name in ("item_id", "source", "rank", "propensity", "position")),
]
_STATISTICS = ["time", "user_id", "request_id"]


class Shelf:
    """Where one process puts its files. Raises `OSError` when the disk refuses."""

    def __init__(self, folder: Path, *, retention_hours: float, max_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._retention_s = retention_hours * 3600
        self._max_bytes = max_bytes
        self._process = uuid.uuid4().hex[:12]
        self._number = 0

    def put(self, hour: str, row_groups: Iterable[pa.Table]) -> int:
        """A file with these rows, all of one schema; returns its size in bytes."""
        self._number += 1
        place = self._folder / hour / f"{self._process}-{self._number:06d}.parquet"
        place.parent.mkdir(exist_ok=True)
        return write_parquet(place, row_groups)

    def sweep(self) -> None:
        """Drop what is older than the retention, then the oldest beyond the size allowed, and what dead processes left."""
        now_s, kept_bytes = time.time(), 0
        for hidden in (*self._folder.glob("*T*/.*.part"), *self._folder.glob(f"{_FORGOTTEN}/*")):
            if _written_and_size(hidden)[0] < now_s - TORN_AFTER_S:
                hidden.unlink(missing_ok=True)
        first_hour = hour_of((now_s - self._retention_s) * 1e6)
        found = [(path.parent.name, *_written_and_size(path), path) for path in served_files(self._folder)]
        for hour_name, _, size, path in sorted(found, reverse=True):
            kept_bytes += size
            if kept_bytes > self._max_bytes or hour_name < first_hour:
                path.unlink(missing_ok=True)
        for hour in self._folder.glob("*T*"):
            # Not before nobody can write to it any more.
            if hour.name < hour_of((now_s - _LATE_S) * 1e6) and not any(hour.iterdir()):
                hour.rmdir()

    def forgotten_us(self) -> dict[str, int]:
        """Users erased lately, by `mark_of`, and when: answers to them from before must not be written any more."""
        return {path.name: int(_written_and_size(path)[0] * 1e6) for path in self._folder.glob(f"{_FORGOTTEN}/*")}


def served_files(folder: Path) -> list[Path]:
    """All finished files, by hour."""
    return sorted(path for path in folder.glob("*T*/*.parquet") if not path.name.startswith("."))


def hour_of(time_us: float) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime(HOUR)


def mark_of(user_id: str) -> str:
    """A file name for a user that does not tell who it is."""
    return hashlib.sha256(user_id.encode()).hexdigest()


def write_parquet(place: Path, row_groups: Iterable[pa.Table]) -> int:
    """A parquet file that is there as a whole or not at all; returns its size in bytes. No rows, no file.

    The hidden file is there before the first row group is asked for: `erase_user` waits for it.
    """
    part = place.with_name(f".{place.name}.part")
    writer: pq.ParquetWriter | None = None
    try:
        # Arrow's own file: one of Python's would want the interpreter for every page.
        with pa.OSFile(str(part), "wb") as file:
            for rows in row_groups:
                writer = writer or pq.ParquetWriter(
                    file,
                    rows.schema,
                    compression=dict.fromkeys(_SQUEEZED, "zstd"),
                    compression_level=dict.fromkeys(_SQUEEZED, 1),
                    use_dictionary=_DICTIONARY,
                    write_statistics=_STATISTICS,
                    store_schema=False,
                )
                writer.write_table(rows)
            if writer is None:
                return 0
            writer.close()
        _sync(part)
        size = part.stat().st_size
        part.replace(place)
        return size
    finally:
        part.unlink(missing_ok=True)


def erase_user(folder: Path, user_id: str) -> int:
    """Rewrite every file without a user's answers and return how many there were; answers on their way here are not written.

    Safe beside writers and other erasures. Raises `OSError` when the disk refuses; then call it again.
    """
    marks = folder / _FORGOTTEN
    marks.mkdir(parents=True, exist_ok=True)
    with (folder / ".erasing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _mark(marks / mark_of(user_id))
        _wait_for_flushes(folder)
        return sum(_erase_from(path, user_id) for path in served_files(folder))


def count_user(folder: Path, user_id: str) -> int:
    """How many answers to a user there are."""
    return sum(_count_in(path, user_id) for path in served_files(folder))


def _mark(mark: Path) -> None:
    """By the clock that answers are dated by: what a file system dates a file by is some milliseconds behind it."""
    mark.touch()
    now_ns = time.time_ns()
    os.utime(mark, ns=(now_ns, now_ns))


def _wait_for_flushes(folder: Path) -> None:
    """What was begun before the user was marked may still bring answers of theirs."""
    deadline_s = time.monotonic() + FLUSH_PATIENCE_S
    begun = list(folder.glob("*T*/.*.part"))
    while time.monotonic() < deadline_s and any(path.exists() for path in begun):
        time.sleep(0.05)


def _count_in(path: Path, user_id: str) -> int:
    try:
        column = pq.read_table(path, columns=["user_id"])["user_id"]
    except FileNotFoundError:  # swept meanwhile
        return 0
    return int(pc.sum(pc.equal(column, user_id)).as_py() or 0)


def _erase_from(path: Path, user_id: str) -> int:
    erased = _count_in(path, user_id)
    if erased:
        file = pq.ParquetFile(path)
        groups = (file.read_row_group(number) for number in range(file.num_row_groups))
        others = (group.filter(pc.not_equal(group["user_id"], user_id)) for group in groups)
        if not write_parquet(path, (group for group in others if group.num_rows)):
            path.unlink(missing_ok=True)
    return erased


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _written_and_size(path: Path) -> tuple[float, int]:
    """Unix seconds and bytes; zeros for a file that another process removed."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0.0, 0
    return found.st_mtime, found.st_size
