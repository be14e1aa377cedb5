"""The activity views of a Feast online store, for the consumer's process: loading Feast takes seconds.

Rows go through Feast's provider straight to the store of whatever kind. `FeatureStore.push` ends in the same call, but for a few
rows it takes ten times as long: it parses the registry and turns rows into a frame, the frame into Arrow, Arrow into rows.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from feast import FeatureStore, FeatureView
from feast.errors import FeatureViewNotFoundException
from feast.infra.provider import get_provider
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import StringList, Value
from feast.types import Array, Float32, Int64, String

from banquet.core.errors import BadSettings
from banquet.feedback.ports import ActivityRow, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Kind = Literal["user", "item"]
_COUNTERS = {"interaction_count": Int64, "rating_count": Int64, "rating_mean": Float32}
_FEATURES: dict[Kind, dict[str, Any]] = {"user": {"history": Array(String), **_COUNTERS}, "item": _COUNTERS}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class FeastActivity:
    """Reads and pushes `user_activity` and `item_activity`. Raises `BadSettings` where the repository defines them otherwise."""

    def __init__(self, repo_path: Path) -> None:
        if not (repo_path / "feature_store.yaml").is_file():
            raise BadSettings(f"no feature_store.yaml in {repo_path}; name the folder of the Feast repository")
        store = FeatureStore(repo_path=str(repo_path))
        self._views = {kind: _checked_view(store, kind, repo_path) for kind in _FEATURES}
        self._config = store.config
        self._provider = get_provider(store.config)

    def read_users(self, user_ids: Sequence[str]) -> Mapping[str, ActivityRow]:
        return self._read("user", user_ids)

    def read_items(self, item_ids: Sequence[str]) -> Mapping[str, ActivityRow]:
        return self._read("item", item_ids)

    def push_users(self, rows: Sequence[ActivityRow]) -> None:
        self._push("user", rows)

    def push_items(self, rows: Sequence[ActivityRow]) -> None:
        self._push("item", rows)

    def _read(self, kind: Kind, ids: Sequence[str]) -> dict[str, ActivityRow]:
        keys = [_key(kind, entity) for entity in ids]
        try:
            found = self._provider.online_read(self._config, self._views[kind], keys, list(_FEATURES[kind]))
        except Exception as error:  # each of Feast's stores raises classes of its own
            raise StoreUnavailable(f"{kind}_activity cannot be read: {error}") from error
        rows = (_row(entity, at, values) for entity, (at, values) in zip(ids, found, strict=True) if at is not None)
        # Whom Redis does not know it answers with empty values from 1970.
        return {row.entity_id: row for row in rows if row.event_time_us > 0}

    def _push(self, kind: Kind, rows: Sequence[ActivityRow]) -> None:
        now = datetime.now(UTC)
        data = [(_key(kind, row.entity_id), _values(kind, row), _EPOCH + row.event_time_us * _MICROSECOND, now) for row in rows]
        try:
            self._provider.online_write_batch(self._config, self._views[kind], data, None)
        except Exception as error:  # as in _read
            raise StoreUnavailable(f"{len(rows)} rows of {kind}_activity cannot be pushed: {error}") from error


def _key(kind: Kind, entity: str) -> EntityKey:
    return EntityKey(join_keys=[f"{kind}_id"], entity_values=[Value(string_val=entity)])


def _values(kind: Kind, row: ActivityRow) -> dict[str, Value]:
    values = {
        "interaction_count": Value(int64_val=row.interaction_count),
        "rating_count": Value(int64_val=row.rating_count),
        "rating_mean": Value() if row.rating_mean is None else Value(float_val=row.rating_mean),
    }
    return values | {"history": Value(string_list_val=StringList(val=row.history))} if kind == "user" else values


def _row(entity: str, at: datetime, values: Mapping[str, Value]) -> ActivityRow:
    """A feature the row lacks counts as zero, an empty history or no mean."""
    cells = {name: values.get(name) or Value() for name in _FEATURES["user"]}
    mean = cells["rating_mean"]
    return ActivityRow(
        entity,
        cells["interaction_count"].int64_val,
        cells["rating_count"].int64_val,
        mean.float_val if mean.HasField("float_val") else None,
        (at - _EPOCH) // _MICROSECOND,
        tuple(cells["history"].string_list_val.val),
    )


def _checked_view(store: FeatureStore, kind: Kind, repo_path: Path) -> FeatureView:
    name = f"{kind}_activity"
    try:
        view = store.get_feature_view(name)
    except FeatureViewNotFoundException as error:
        raise BadSettings(f"no feature view {name!r} in {repo_path}; run `feast apply` there") from error
    found = {field.name: field.dtype for field in view.features}
    keys = [column.name for column in view.entity_columns]
    if found != _FEATURES[kind] or keys != [f"{kind}_id"]:
        raise BadSettings(
            f"feature view {name!r} in {repo_path} has {_named(found)} by {', '.join(keys)}; "
            f"feedback needs {_named(_FEATURES[kind])} by {kind}_id"
        )
    return view


def _named(features: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {dtype}" for name, dtype in sorted(features.items()))
