"""The views of what happened, in a Feast repository: checked against what is declared, and values as Feast has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from feast import FeatureStore, FeatureView
from feast.errors import FeatureViewNotFoundException
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import StringList, Value
from feast.types import Array, Float32, Int64, String

from banquet.core.declared import ACTIVITY, VIEWS
from banquet.core.errors import BadSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from banquet.core.declared import Entity, Feature

_TYPES: dict[str, Any] = {"STRING_LIST": Array(String), "INT64": Int64, "FLOAT": Float32}


def open_store(repo_path: Path) -> FeatureStore:
    if not (repo_path / "feature_store.yaml").is_file():
        raise BadSettings(f"no feature_store.yaml in {repo_path}; name the folder of the Feast repository")
    return FeatureStore(repo_path=str(repo_path))


def declared_views(store: FeatureStore, repo_path: Path) -> dict[str, FeatureView]:
    """The declared views that a repository has. Both activity views must be there; windowed ones may be missing.

    Raises `BadSettings` for a view that has other features than were declared.
    """
    views = {}
    for name, features in VIEWS.items():
        try:
            view = store.get_feature_view(name)
        except FeatureViewNotFoundException as error:
            if name in {f"{entity}_activity" for entity in ACTIVITY}:
                raise BadSettings(f"no feature view {name!r} in {repo_path}; run `feast apply` there") from error
        else:
            views[name] = _checked(view, features, repo_path)
    return views


def entity_key(entity: Entity, entity_id: str) -> EntityKey:
    return EntityKey(join_keys=[f"{entity}_id"], entity_values=[Value(string_val=entity_id)])


def to_value(feature: Feature, value: Any) -> Value:
    """None becomes Feast's null."""
    if value is None:
        return Value()
    match feature.type:
        case "STRING_LIST":
            return Value(string_list_val=StringList(val=value))
        case "INT64":
            return Value(int64_val=value)
        case _:
            return Value(float_val=value)


def _checked(view: FeatureView, features: tuple[Feature, ...], repo_path: Path) -> FeatureView:
    declared = {feature.name: _TYPES[feature.type] for feature in features}
    found = {field.name: field.dtype for field in view.features}
    key = f"{view.name.partition('_')[0]}_id"
    keys = [column.name for column in view.entity_columns]
    if found != declared or keys != [key]:
        raise BadSettings(
            f"feature view {view.name!r} in {repo_path} has {_named(found)} by {', '.join(keys)}; "
            f"feedback needs {_named(declared)} by {key}"
        )
    return view


def _named(features: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {dtype}" for name, dtype in sorted(features.items()))
