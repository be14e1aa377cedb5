"""The activity views of a Feast online store, through the Feast SDK, which takes seconds to load: for the consumer's process."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from feast import FeatureStore, FeatureView
from feast.data_source import PushMode
from feast.errors import FeatureViewNotFoundException
from feast.types import Array, Float32, Int64, String

from banquet.core.errors import BadSettings
from banquet.feedback.ports import ActivityRow, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse

Kind = Literal["user", "item"]
_COUNTERS = {"interaction_count": Int64, "rating_count": Int64, "rating_mean": Float32}
_FEATURES: dict[Kind, dict[str, Any]] = {"user": {"history": Array(String), **_COUNTERS}, "item": _COUNTERS}


class FeastActivity:
    """Reads and pushes `user_activity` and `item_activity`. Raises `BadSettings` where the repository defines them otherwise."""

    def __init__(self, repo_path: Path) -> None:
        if not (repo_path / "feature_store.yaml").is_file():
            raise BadSettings(f"no feature_store.yaml in {repo_path}; name the folder of the Feast repository")
        self._store = FeatureStore(repo_path=str(repo_path))
        self._views = {kind: self._checked_view(kind, repo_path) for kind in _FEATURES}

    def read_users(self, user_ids: Sequence[str]) -> Mapping[str, ActivityRow]:
        return self._read("user", user_ids)

    def read_items(self, item_ids: Sequence[str]) -> Mapping[str, ActivityRow]:
        return self._read("item", item_ids)

    def push_users(self, rows: Sequence[ActivityRow]) -> None:
        self._push("user", rows)

    def push_items(self, rows: Sequence[ActivityRow]) -> None:
        self._push("item", rows)

    def _read(self, kind: Kind, ids: Sequence[str]) -> dict[str, ActivityRow]:
        features = [f"{kind}_activity:{name}" for name in _FEATURES[kind]]
        try:
            response = self._store.get_online_features(features, {f"{kind}_id": list(ids)})
        except Exception as error:  # each of Feast's stores raises classes of its own
            raise StoreUnavailable(f"{kind}_activity cannot be read: {error}") from error
        rows = _rows(response.proto, f"{kind}_id")
        return {row.entity_id: row for row in rows if row.event_time_us > 0}

    def _push(self, kind: Kind, rows: Sequence[ActivityRow]) -> None:
        source = self._views[kind].batch_source
        columns = {
            f"{kind}_id": [row.entity_id for row in rows],
            "interaction_count": pd.array([row.interaction_count for row in rows], "int64"),
            "rating_count": pd.array([row.rating_count for row in rows], "int64"),
            "rating_mean": pd.array([row.rating_mean for row in rows], "float32"),
            source.timestamp_field: pd.to_datetime([row.event_time_us for row in rows], unit="us", utc=True),
        }
        if kind == "user":
            columns["history"] = [list(row.history) for row in rows]
        if source.created_timestamp_column:
            columns[source.created_timestamp_column] = [datetime.now(UTC)] * len(rows)
        try:
            self._store.push(f"{kind}_activity_push", pd.DataFrame(columns), to=PushMode.ONLINE)
        except Exception as error:  # as in _read
            raise StoreUnavailable(f"{len(rows)} rows of {kind}_activity cannot be pushed: {error}") from error

    def _checked_view(self, kind: Kind, repo_path: Path) -> FeatureView:
        name = f"{kind}_activity"
        try:
            view = self._store.get_feature_view(name)
        except FeatureViewNotFoundException as error:
            raise BadSettings(f"no feature view {name!r} in {repo_path}; run `feast apply` there") from error
        found = {field.name: field.dtype for field in view.features}
        if found != _FEATURES[kind]:
            raise BadSettings(
                f"feature view {name!r} in {repo_path} has {_named(found)}; feedback needs {_named(_FEATURES[kind])}"
            )
        if view.stream_source is None or view.stream_source.name != f"{name}_push":
            raise BadSettings(f"feature view {name!r} in {repo_path} must have the push source '{name}_push'")
        return view


def _named(features: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {dtype}" for name, dtype in sorted(features.items()))


def _rows(response: GetOnlineFeaturesResponse, key: str) -> list[ActivityRow]:
    """One row per entity; whom the store does not know has event time 0, whatever the status says."""
    vectors = dict(zip(response.metadata.feature_names.val, response.results, strict=True))
    times = vectors["interaction_count"].event_timestamps
    cells = {name: vector.values for name, vector in vectors.items()}  # noqa: PD011 - a protobuf field, not a frame
    return [
        ActivityRow(
            entity.string_val,
            cells["interaction_count"][row].int64_val,
            cells["rating_count"][row].int64_val,
            cells["rating_mean"][row].float_val if cells["rating_mean"][row].HasField("float_val") else None,
            times[row].ToMicroseconds(),
            tuple(cells["history"][row].string_list_val.val) if "history" in cells else (),
        )
        for row, entity in enumerate(cells[key])
    ]
