"""What an online store was filled from, for those who build on it while `prepare` may fill it anew."""

from __future__ import annotations

import fcntl
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from banquet.features.offline.sources import RECENT_EVENTS
from banquet.features.project.repo import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from banquet.features.project.repo import FeatureRepo


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was prepared: the dataset's name, rows by view, and when (ISO). `redone` is False when all of it was already there."""

    dataset: str
    rows: dict[str, int]
    at: str
    redone: bool


def last_prepared(repo: FeatureRepo) -> tuple[str, Prepared, str] | None:
    """The fingerprint, the result and the folder of the last preparation of this repo and store, or None."""
    try:
        body = json.loads(record_of(repo).read_bytes())
        return body["fingerprint"], Prepared(body["dataset"], body["rows"], body["at"], redone=False), body["folder"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # A record that cannot be read means only that the work is done again.
        return None


def record_of(repo: FeatureRepo) -> Path:
    return repo.folder / "data" / f"prepared_{kind_of(repo.store)}.json"


@contextmanager
def filling(repo: FeatureRepo) -> Iterator[None]:
    """While the store is filled: waits for those who hold its base, and keeps them off."""
    file = _lock_of(repo)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class StoreBase:
    """What the store of a repo was last filled from, for a process that pushes on top of it."""

    def __init__(self, repo: FeatureRepo) -> None:
        self._repo = repo
        self._name = ""
        self._written_ns = -1
        _lock_of(repo).parent.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def held(self) -> Iterator[str | None]:
        """Its name, which stays true within the block; None while the store is being filled."""
        with _lock_of(self._repo).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield self._current()

    def recent_events(self) -> list[tuple[str, str, str, int]]:
        """The dataset's events that its windows hold: type, user id, item id and microseconds since 1970 UTC."""
        file = self._repo.folder / "data" / RECENT_EVENTS
        if not self._name or not file.is_file():
            return []
        table = pq.read_table(file)
        times = table["event_time"].cast(pa.int64())
        columns = (table["event_type"], table["user_id"], table["item_id"], times)
        return list(zip(*(column.to_pylist() for column in columns), strict=True))

    def _current(self) -> str:
        try:
            written_ns = record_of(self._repo).stat().st_mtime_ns
        except FileNotFoundError:
            written_ns = 0
        if written_ns != self._written_ns:
            prepared = last_prepared(self._repo)
            self._name = "" if prepared is None else f"{prepared[0]} {prepared[1].at}"
            self._written_ns = written_ns
        return self._name


def _lock_of(repo: FeatureRepo) -> Path:
    return repo.folder / "data" / f"filling_{kind_of(repo.store)}.lock"
