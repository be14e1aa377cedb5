"""A Feast project with everything that its users may define: several keys, aliases, versions, on-demand views, all types."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import python_values_to_proto_values
from feast.types import Array, Bool, Bytes, Decimal, Float32, Float64, Int32, Int64, Json, Map, Set, String, UnixTimestamp, Uuid

from banquet.features.project.repo import FeatureRepo
from tests.integration.features.world import start_redis

if TYPE_CHECKING:
    from pathlib import Path

AT = datetime(2026, 1, 5, 10, 30, 0, 250_000, tzinfo=UTC)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
SCALARS = {
    "text": String,
    "blob": Bytes,
    "small": Int32,
    "whole": Int64,
    "real": Float32,
    "exact": Float64,
    "flag": Bool,
    "moment": UnixTimestamp,
    "uuid": Uuid,
    "money": Decimal,
    "json": Json,
}


@dataclass(frozen=True)
class Rich:
    """The project's repo and Feast's own store object."""

    repo: FeatureRepo
    feast: FeatureStore


@cache
def rich(kind: str, folder: Path) -> Rich:
    """The project on SQLite or Redis, with a few rows."""
    folder.mkdir(parents=True)
    store = f"redis\n  connection_string: 127.0.0.1:{start_redis()}" if kind == "redis" else "sqlite\n  path: online.db"
    (folder / "feature_store.yaml").write_text(
        f"project: rich\nprovider: local\nregistry:\n  path: registry.db\n  enable_online_feature_view_versioning: true\n"
        f"online_store:\n  type: {store}\noffline_store:\n  type: file\nentity_key_serialization_version: 3\n"
    )
    feast = FeatureStore(repo_path=str(folder))
    define(feast)
    fill(feast)
    return Rich(FeatureRepo.open(folder), feast)


def source(name: str) -> PushSource:
    return PushSource(name=f"{name}_push", batch_source=FileSource(name=name, path=f"{name}.parquet", timestamp_field="ts"))


def define(feast: FeatureStore) -> None:
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
    item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
    shop = Entity(name="shop", join_keys=["shop_id"], value_type=ValueType.STRING)
    types = [Field(name=name, dtype=dtype) for name, dtype in SCALARS.items()]
    types += [Field(name=f"{name}s", dtype=Array(dtype)) for name, dtype in SCALARS.items() if dtype is not Json]
    types += [Field(name="set", dtype=Set(String)), Field(name="map", dtype=Map)]
    activity = FeatureView(
        name="activity",
        entities=[user],
        schema=[Field(name="history", dtype=Array(String)), Field(name="count", dtype=Int64)],
        source=source("activity"),
        ttl=timedelta(days=36_500),
    )
    every = FeatureView(name="every_type", entities=[user], schema=types, source=source("every_type"), ttl=timedelta(0))
    at_shop = FeatureView(
        name="at_shop",
        entities=[user, shop],
        schema=[Field(name="visits", dtype=Int64), Field(name="spent", dtype=Float32)],
        source=source("at_shop"),
        ttl=timedelta(days=1),
    )
    weather = FeatureView(
        name="shop_weather",
        entities=[shop],
        schema=[Field(name="rain", dtype=Float64)],
        source=source("shop_weather"),
        ttl=timedelta(0),
    )
    globe = FeatureView(
        name="globe", entities=[], schema=[Field(name="spin", dtype=Int64)], source=source("globe"), ttl=timedelta(0)
    )
    profile = FeatureView(
        name="item_profile",
        entities=[item],
        schema=[Field(name="available", dtype=Bool), Field(name="count", dtype=Int64), Field(name="title", dtype=String)],
        source=source("item_profile"),
        ttl=timedelta(days=36_500),
    )
    request = RequestSource(name="asked", schema=[Field(name="hour", dtype=Int64)])

    @on_demand_feature_view(sources=[activity, request], schema=[Field(name="late", dtype=Int64)], mode="python")
    def in_python(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"late": [(count or 0) * 100 + hour for count, hour in zip(inputs["count"], inputs["hour"], strict=True)]}

    @on_demand_feature_view(sources=[at_shop], schema=[Field(name="per_visit", dtype=Float64)], mode="pandas")
    def in_pandas(inputs: pd.DataFrame) -> pd.DataFrame:
        frame = pd.DataFrame()
        frame["per_visit"] = inputs["spent"].astype("float64") / inputs["visits"]
        return frame

    ranking = FeatureService(
        name="ranking",
        features=[
            activity,
            every[["text", "whole", "reals"]],
            at_shop.with_name("here").with_join_key_map({"shop_id": "current_shop"}),
            at_shop[["visits"]].with_name("home").with_join_key_map({"shop_id": "home_shop"}),
            weather,
            in_python,
            in_pandas,
            profile,
        ],
    )
    feast.apply([user, item, shop, activity, every, at_shop, weather, globe, profile, in_python, in_pandas, ranking])
    # Another version: its values lie in a table of their own.
    wider = FeatureView(
        name="shop_weather",
        entities=[shop],
        schema=[Field(name="rain", dtype=Float64), Field(name="wind", dtype=Float64)],
        source=source("shop_weather"),
        ttl=timedelta(0),
    )
    feast.apply([wider])


FULL: dict[str, Any] = {
    "text": "Köln ☃",
    "blob": b"\x00\xff",
    "small": -(2**31),
    "whole": 2**53 + 1,
    "real": -0.0,
    "exact": 1e300,
    "flag": True,
    "moment": AT,
    "uuid": "12345678-1234-5678-1234-567812345678",
    "money": "12.50",
    "json": json.dumps({"a": [1]}),
    "set": {"x", "y"},
    "map": {"k": "v"},
}
FULL |= {f"{name}s": [FULL[name], FULL[name]] for name in SCALARS if name != "json"}
ROWS: dict[str, list[tuple[dict[str, Any], dict[str, Any], datetime]]] = {
    "activity": [
        ({"user_id": 7}, {"history": ["i2", "i1"], "count": 3}, AT),
        ({"user_id": 8}, {"history": [], "count": None}, AT),
    ],
    "every_type": [({"user_id": 7}, FULL, AT), ({"user_id": 8}, dict.fromkeys(FULL), AT)],
    "at_shop": [
        ({"user_id": 7, "shop_id": "north"}, {"visits": 4, "spent": 10.0}, LONG_AGO),
        ({"user_id": 7, "shop_id": "south"}, {"visits": 1, "spent": 2.5}, AT),
    ],
    "shop_weather": [({"shop_id": "north"}, {"rain": 0.5, "wind": 3.0}, AT)],
    "shop_weather@v0": [({"shop_id": "north"}, {"rain": 0.25}, LONG_AGO)],
    "globe": [({}, {"spin": 1}, AT)],
    "item_profile": [({"item_id": "i1"}, {"available": True, "count": 5, "title": "Erste"}, AT)],
}


def fill(feast: FeatureStore) -> None:
    """As a push does, without the detour over pandas."""
    for name, rows in ROWS.items():
        plain, _, version = name.partition("@v")
        view = feast.registry.get_feature_view(plain, feast.project)
        if version:
            view = feast.registry.get_feature_view_by_version(plain, feast.project, int(version))
            view.projection.version_tag = int(version)
        kinds = {field.name: field.dtype.to_value_type() for field in view.features}
        keys = {field.name: field.dtype.to_value_type() for field in view.entity_columns}
        batch = []
        for ids, values, at in rows:
            its = ids or {"__dummy_id": ""}
            key = EntityKey(join_keys=list(its), entity_values=[_value(its[each], keys[each]) for each in its])
            batch.append((key, {each: _value(value, kinds[each]) for each, value in values.items()}, at, at))
        feast._get_provider().online_write_batch(feast.config, view, batch, None)


def _value(plain: Any, kind: ValueType) -> Value:
    (value,) = python_values_to_proto_values([plain], kind)
    return value
