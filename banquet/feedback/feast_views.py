"""The views of what happened, in a Feast repository: checked against what is declared, and values as Feast has them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feast import FeatureStore, FeatureView
from feast.errors import FeatureViewNotFoundException
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import StringList, Value
from feast.types import Array, Float32, Int64, String

from banquet.core.declared import ACTIVITY, VIEWS, entity_of
from banquet.core.errors import BadSettings
from banquet.core.ids import id_problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from banquet.core.declared import Entity, Feature

log = logging.getLogger(__name__)

_TYPES: dict[str, Any] = {"STRING_LIST": Array(String), "INT64": Int64, "FLOAT": Float32}


def open_store(repo_path: Path) -> FeatureStore:
    if not (repo_path / "feature_store.yaml").is_file():
        raise BadSettings(f"no feature_store.yaml in {repo_path}; name the folder of the Feast repository")
    return FeatureStore(repo_path=str(repo_path))


@dataclass(frozen=True, slots=True)
class OwnKey:
    """The key of users or items in a repository: the join key's name, and Feast's value type of it."""

    join_key: str
    type: str

    def of(self, entity_id: str) -> EntityKey | None:
        """None for an id that is no key of this type: nobody in the store has it."""
        if id_problem(self.type, entity_id):
            return None
        match self.type:
            case "INT64":
                value = Value(int64_val=int(entity_id))
            case "INT32":
                value = Value(int32_val=int(entity_id))
            case _:
                value = Value(string_val=entity_id)
        return EntityKey(join_keys=[self.join_key], entity_values=[value])


def declared_keys(store: FeatureStore, repo_path: Path) -> dict[Entity, OwnKey]:
    """The keys of the repository's users and items: entities so named, or tagged. Raises `BadSettings` without."""
    found: dict[Entity, OwnKey] = {}
    for kind in ACTIVITY:
        entities = store.list_entities()
        tagged = [entity for entity in entities if entity.tags.get("banquet") == kind]
        named = [entity for entity in entities if entity.name == kind]
        if not tagged + named:
            raise BadSettings(f'no entity {kind!r} in {repo_path}; name one so or give it tags={{"banquet": "{kind}"}}')
        entity = (tagged + named)[0]
        # Rows are written by the type that the views have, which Feast infers where the entity names none.
        columns = [column for view in store.list_feature_views() for column in view.entity_columns]
        types = [column.dtype.to_value_type().name for column in columns if column.name == entity.join_key]
        found[kind] = OwnKey(entity.join_key, (types or [entity.value_type.name])[0])
    return found


def declared_views(store: FeatureStore, keys: Mapping[Entity, OwnKey], repo_path: Path) -> dict[str, FeatureView]:
    """The declared views that a repository has.

    What is derived for the others goes nowhere, and the log says so. Raises `BadSettings` for a view that has other features
    than were declared.
    """
    views = {}
    for name, features in VIEWS.items():
        try:
            view = store.get_feature_view(name)
        except FeatureViewNotFoundException:
            continue
        views[name] = _checked(view, features, keys[entity_of(name)].join_key, repo_path)
    if missing := VIEWS.keys() - views:
        log.warning(
            "%s has no views %s: what they would hold of events is not kept up; copy event_views.py of Banquet's feature_repo",
            repo_path,
            ", ".join(sorted(missing)),
        )
    return views


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


def _checked(view: FeatureView, features: tuple[Feature, ...], key: str, repo_path: Path) -> FeatureView:
    declared = {feature.name: _TYPES[feature.type] for feature in features}
    found = {field.name: field.dtype for field in view.features}
    keys = [column.name for column in view.entity_columns]
    if found != declared or keys != [key]:
        raise BadSettings(
            f"feature view {view.name!r} in {repo_path} has {_named(found)} by {', '.join(keys)}; "
            f"feedback needs {_named(declared)} by {key}"
        )
    return view


def _named(features: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {dtype}" for name, dtype in sorted(features.items()))
