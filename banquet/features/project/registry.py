"""Everything a Feast project defines, read from its registry. Imports Feast."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from feast import OnDemandFeatureView
from feast.infra.online_stores.helpers import compute_versioned_name

from banquet.features.project.definitions import Computed, Definitions, Projection
from banquet.features.project.layout import View

if TYPE_CHECKING:
    from collections.abc import Iterable

    from feast import FeatureStore, FeatureView, Field
    from feast.feature_view_projection import FeatureViewProjection

    Stored: TypeAlias = "FeatureView | OnDemandFeatureView"

ROLE_TAG = "banquet"


def definitions_of(feast: FeatureStore) -> Definitions:
    """The views, on-demand views and feature services of a project; versions too, where the registry keeps them online."""
    versioned = feast.config.registry.enable_online_feature_view_versioning
    entities = feast.list_entities()
    own_keys = {entity.name: entity.join_key for entity in entities}
    # A repo whose users are `customer` says so by a tag.
    own_keys |= {role: entity.join_key for entity in entities if (role := entity.tags.get(ROLE_TAG)) is not None}
    found = {view.name: view for view in feast.registry.list_all_feature_views(feast.project)}
    if versioned:
        for name in list(found):
            for record in feast.registry.list_feature_view_versions(name, feast.project):
                number = record["version_number"]
                view = feast.registry.get_feature_view_by_version(name, feast.project, number)
                view.projection.version_tag = number
                found[f"{name}@v{number}"] = view
    computed = {name: view for name, view in found.items() if _is_computed(view)}
    stored = {name: view for name, view in found.items() if name not in computed}
    return Definitions(
        feast.project,
        {name: _view(name, view, own_keys, versioned=versioned) for name, view in stored.items()},
        {name: _computed(name, view) for name, view in computed.items()},
        {service.name: tuple(map(_projection, service.feature_view_projections)) for service in feast.list_feature_services()},
        own_keys,
    )


def _is_computed(view: Stored) -> bool:
    return isinstance(view, OnDemandFeatureView) and not view.write_to_online_store


def _view(name: str, view: Stored, own_keys: dict[str, str], *, versioned: bool) -> View:
    ttl = getattr(view, "ttl", None)
    return View(
        name,
        compute_versioned_name(view, versioned),
        "+".join(entity for entity in view.entities or () if entity in own_keys),
        tuple(key.name for key in view.entity_columns),
        tuple(key.dtype.to_value_type().name for key in view.entity_columns),
        _types(view.features),
        int(ttl.total_seconds()) if ttl else 0,
    )


def _computed(name: str, view: OnDemandFeatureView) -> Computed:
    sources = tuple(
        Projection(source.name, source.name, tuple(feature.name for feature in source.features), source.join_key_map)
        for source in view.source_feature_view_projections.values()
    )
    request = {key: kind.name for key, kind in view.get_request_data_schema().items()}
    return Computed(name, _types(view.features), sources, request)


def _projection(projection: FeatureViewProjection) -> Projection:
    version = "" if projection.version_tag is None else f"@v{projection.version_tag}"
    features = tuple(feature.name for feature in projection.features)
    return Projection(projection.name + version, projection.name_to_use(), features, projection.join_key_map)


def _types(fields: Iterable[Field]) -> dict[str, str]:
    return {field.name: field.dtype.to_value_type().name for field in fields}
