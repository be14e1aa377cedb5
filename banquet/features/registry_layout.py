"""The layout of a Feast project, from its registry. Imports Feast; used in `feast_job` alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from feast.errors import FeatureServiceNotFoundException, FeatureViewNotFoundException
from feast.infra.online_stores.helpers import compute_versioned_name

from banquet.core.errors import BadSettings
from banquet.features.layout import HISTORY, Layout, View

if TYPE_CHECKING:
    from collections.abc import Iterable

    from feast import FeatureStore, FeatureView
    from feast.feature_view_projection import FeatureViewProjection

SERVICES = ("ranking", "retrieval")
ENTITIES = ("user", "item")


def layout_of(feast: FeatureStore, token: str) -> Layout:
    """What the registry says of the views to serve. Raises `BadSettings` naming what is missing or cannot be served."""
    wanted = _wanted(feast)
    users, items = (_renamed([view for view in wanted if view.entity == entity]) for entity in ENTITIES)
    for entity, views in zip(ENTITIES, (users, items), strict=True):
        if not views:
            raise BadSettings(
                f"Feast project {feast.project!r} has no view of the entity {entity!r}; define one, name it in the feature"
                f" service `ranking`, and run `feast apply` in {feast.repo_path}"
            )
    if not any(view.features.get(HISTORY, "").endswith("_LIST") for view in users):
        raise BadSettings(
            f"no user view has a feature {HISTORY!r} that is a list; give one of {', '.join(view.name for view in users)} a"
            f" field {HISTORY!r} of type Array(String): a user's last items, newest first"
        )
    return Layout(feast.project, token, users, items)


def _wanted(feast: FeatureStore) -> list[View]:
    """The views that the services name, each with the features that any of them names."""
    features: dict[str, dict[str, str]] = {}
    for projection in _projections(feast):
        its = features.setdefault(projection.name, {})
        its |= {field.name: field.dtype.to_value_type().name for field in projection.features}
    names = list(features) or [view.name for view in feast.list_feature_views() if set(view.entities) & set(ENTITIES)]
    return [_view(feast, name, features.get(name)) for name in names]


def _projections(feast: FeatureStore) -> list[FeatureViewProjection]:
    found: list[FeatureViewProjection] = []
    for name in SERVICES:
        try:
            found += feast.get_feature_service(name).feature_view_projections
        except FeatureServiceNotFoundException:
            continue
    return found


def _view(feast: FeatureStore, name: str, features: dict[str, str] | None) -> View:
    try:
        view: FeatureView = feast.get_feature_view(name)
    except FeatureViewNotFoundException as error:
        raise BadSettings(
            f"Feast project {feast.project!r} has no view {name!r}; run `feast apply` in {feast.repo_path}"
        ) from error
    entity = [kind for kind in ENTITIES if kind in view.entities]
    if len(entity) != 1:
        raise BadSettings(
            f"view {name!r} is of the entities {', '.join(view.entities)}; a view is of `user` or of `item`, take it out of the"
            f" feature services {' and '.join(SERVICES)} or split it"
        )
    made = View(
        name,
        compute_versioned_name(view, feast.config.registry.enable_online_feature_view_versioning),
        entity[0],
        tuple(key.name for key in view.entity_columns),
        tuple(key.dtype.to_value_type().name for key in view.entity_columns),
        features or {field.name: field.dtype.to_value_type().name for field in view.features},
        int(view.ttl.total_seconds()) if view.ttl else 0,
    )
    try:
        made.keys()
    except ValueError as error:
        raise BadSettings(f"view {name!r}: {error}") from error
    return made


def _renamed(views: Iterable[View]) -> tuple[View, ...]:
    """Where two views have a feature of the same name, both are served as `view__feature`, as Feast's full names are."""
    views = tuple(views)
    owners: dict[str, list[str]] = {}
    for view in views:
        for feature in view.features:
            owners.setdefault(feature, []).append(view.name)
    shared = {name for name, its in owners.items() if len(its) > 1}
    if HISTORY in shared:
        raise BadSettings(f"views {' and '.join(owners[HISTORY])} both have a feature {HISTORY!r}; rename one of them")
    return tuple(
        replace(view, renames={name: f"{view.name}__{name}" for name in view.features if name in shared}) for view in views
    )
