"""Which of a Feast project's views Banquet serves: those of the user, those of the item, and whether that can be done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from banquet.core.errors import BadSettings
from banquet.features.project.layout import HISTORY, Layout, View
from banquet.features.stores.encoding import BadValue, KeyFormat
from banquet.features.stores.entity_keys import EntityKeys
from banquet.wire.availability import AVAILABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from banquet.features.project.definitions import Definitions, Projection

SERVICES = ("ranking", "retrieval")
USER, ITEM = ENTITIES = ("user", "item")
# What serving itself reads, by this name and no other, and of whom.
READ_BY_NAME = {HISTORY: USER, AVAILABLE: ITEM}
REMEDY = f"take it out of the feature services {' and '.join(SERVICES)}, or"


def layout_of(definitions: Definitions, token: str) -> Layout:
    """The views to serve. Raises `BadSettings` naming what is missing or cannot be served, and what to do."""
    for entity in ENTITIES:
        if entity not in definitions.own_keys:
            raise BadSettings(
                f"Feast project {definitions.project!r} has no entity {entity!r}; define it, or give yours the tag"
                f" banquet={entity}, and run `feast apply`"
            )
    wanted = _wanted(definitions)
    users, items = (_renamed([view for view in wanted if view.entity == entity]) for entity in ENTITIES)
    for entity, views in zip(ENTITIES, (users, items), strict=True):
        if not any(not view.computed for view in views):
            raise BadSettings(
                f"Feast project {definitions.project!r} has no view of the entity {entity!r}; define one, name it in the"
                " feature service `ranking`, and run `feast apply`"
            )
    if not any(view.served.get(HISTORY, "").endswith("_LIST") for view in users):
        raise BadSettings(
            f"no user view has a feature {HISTORY!r} that is a list; give one of {', '.join(view.name for view in users)} a"
            f" field {HISTORY!r} of type Array(String): a user's last items, newest first"
        )
    return Layout(definitions.project, token, users, items)


def _wanted(definitions: Definitions) -> list[View]:
    """The views that the services name, each with the features that any of them names; stored ones first.

    Without such services: all views of the entities `user` and `item`.
    """
    named = [projection for name in SERVICES for projection in definitions.services.get(name, ())]
    if not named:
        own = {(definitions.own_keys[entity],) for entity in ENTITIES}
        alone = [name for name, view in definitions.views.items() if view.join_keys in own and "@" not in name]
        named = list(definitions.asked([f"{name}:{feature}" for name in alone for feature in definitions.features_of(name)]))
    stored: dict[str, View] = {}
    computed: dict[str, View] = {}
    for projection in named:
        if projection.view in definitions.computed:
            computed[projection.alias] = _computed(definitions, projection)
        elif projection.view in definitions.views:
            _add(stored, _stored(definitions, projection))
        else:
            raise BadSettings(
                f"Feast project {definitions.project!r} has no view {projection.view!r}, which its services name; a version needs"
                " enable_online_feature_view_versioning under `registry` in feature_store.yaml"
            )
    for name in computed:
        for source in definitions.computed[_registered(named, name)].sources:
            _add(stored, _stored(definitions, source), hide=True)
    return [*stored.values(), *computed.values()]


def _registered(named: Sequence[Projection], alias: str) -> str:
    return next(projection.view for projection in named if projection.alias == alias)


def _add(views: dict[str, View], view: View, *, hide: bool = False) -> None:
    """Take a view in, or what it adds to one of the same name; `hide` what nobody but an on-demand view asked for."""
    held = views.get(view.name)
    served: Mapping[str, str] = held.served if held else {}
    served = served if hide else {**served, **view.features}
    features = {**(held.features if held else {}), **view.features}
    hidden = tuple(name for name in features if name not in served)
    views[view.name] = replace(view, features=features, hidden=hidden)


def _stored(definitions: Definitions, projection: Projection) -> View:
    view = definitions.views[projection.view]
    asked = tuple(projection.join_keys.get(key, key) for key in view.join_keys)
    entity = _entity(definitions, projection.alias, asked)
    own = definitions.own_keys[entity]
    try:
        if entity == ITEM:
            KeyFormat(view.join_keys[0], view.key_types[0])
        else:
            EntityKeys(view.join_keys, view.key_types)
    except BadValue as error:
        raise BadSettings(f"view {projection.alias!r}: {error}") from error
    return replace(
        view,
        name=projection.alias,
        registered=projection.view,
        entity=entity,
        features={name: view.features[name] for name in projection.features},
        own_key=own if own in asked else "",
        asked_keys=dict(projection.join_keys),
    )


def _entity(definitions: Definitions, name: str, asked: tuple[str, ...]) -> str:
    """Whose view one with these join keys is. What has no user and no item in its key is read with the user."""
    of_user, of_item = (definitions.own_keys[entity] in asked for entity in ENTITIES)
    if of_user and of_item:
        raise BadSettings(
            f"view {name!r} is of a user and an item together ({', '.join(asked)}), which cannot be read ahead for every item;"
            f" {REMEDY} split it into a view of the user and one of the item"
        )
    if of_item and len(asked) > 1:
        raise BadSettings(
            f"view {name!r} is of an item and of {', '.join(asked)}: an item's features are the same for all requests;"
            f" {REMEDY} give it the item's key alone"
        )
    return ITEM if of_item else USER


def _computed(definitions: Definitions, projection: Projection) -> View:
    view = definitions.computed[projection.view]
    entities = {
        _entity(definitions, source.alias, _asked(definitions, source))
        for source in view.sources
        if source.view in definitions.views
    }
    if len(entities) > 1:
        raise BadSettings(
            f"on-demand view {projection.alias!r} mixes features of the user and of the item"
            f" ({', '.join(source.view for source in view.sources)}), which would be computed for every pair; {REMEDY} split it"
        )
    entity = entities.pop() if entities else USER
    if entity == ITEM and view.request:
        raise BadSettings(
            f"on-demand view {projection.alias!r} computes item features from request data ({', '.join(view.request)}), but an"
            f" item's features are the same for all requests; {REMEDY} leave the request data out"
        )
    if entity == ITEM:
        raise BadSettings(
            f"on-demand view {projection.alias!r} computes item features, which the catalogue takes from the online store alone;"
            f" {REMEDY} push what it computes to a view of its own"
        )
    features = {name: view.features[name] for name in projection.features}
    return View(projection.alias, projection.alias, entity, (), (), features, computed=True, registered=projection.view)


def _asked(definitions: Definitions, source: Projection) -> tuple[str, ...]:
    return tuple(source.join_keys.get(key, key) for key in definitions.views[source.view].join_keys)


def _renamed(views: Iterable[View]) -> tuple[View, ...]:
    """Where two views have a feature of the same name, both are served as `view__feature`, as Feast's full names are."""
    views = tuple(views)
    owners: dict[str, list[str]] = {}
    for view in views:
        for feature in view.served:
            owners.setdefault(feature, []).append(view.name)
    shared = {name for name, its in owners.items() if len(its) > 1}
    for name in shared & READ_BY_NAME.keys():
        if views[0].entity == READ_BY_NAME[name]:
            raise BadSettings(
                f"views {' and '.join(owners[name])} of the {views[0].entity} each have a feature {name!r}, and Banquet reads one"
                f" alone; rename it in all but one, or leave it out of the feature services {' and '.join(SERVICES)}"
            )
    return tuple(
        replace(view, renames={name: f"{view.name}__{name}" for name in view.served if name in shared}) for view in views
    )
