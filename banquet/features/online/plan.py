"""What a read of a feature service or of references comes to: which stored views, which on-demand views, which names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from banquet.core.errors import BadData
from banquet.features.stores.cells import Part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from banquet.features.project.definitions import Definitions, Projection


@dataclass(frozen=True, slots=True)
class Asked:
    """A part of a stored view under the name it is asked by; `asked` names its join keys in an entity row."""

    alias: str
    part: Part
    asked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """`stored` views to read, `computed` ones to run, `wanted` (alias, feature) in order; `keys` and `request` are the types of
    what entity rows give, by name; `references` are the stored features that were asked for.
    """

    stored: tuple[Asked, ...]
    computed: tuple[Projection, ...]
    wanted: tuple[tuple[str, str], ...]
    keys: Mapping[str, str]
    request: Mapping[str, str]
    references: tuple[str, ...]

    def names(self, *, full_names: bool) -> dict[str, tuple[str, str]]:
        """(alias, feature) by name. Raises `BadData` where two features would have the same one."""
        named: dict[str, tuple[str, str]] = {}
        for alias, feature in self.wanted:
            name = f"{alias}__{feature}" if full_names else feature
            if named.setdefault(name, (alias, feature)) != (alias, feature):
                raise BadData(f"{named[name][0]} and {alias} both have a feature {feature!r}; ask with full_names")
        return named


def plan_of(definitions: Definitions, features: str | Sequence[str], *, as_sdk: bool = True) -> Plan:
    """Raises `BadData` naming a view or a feature that does not exist.

    Of a view with versions, the SDK reads the very first one where a feature service or an on-demand view names it without a
    version (its copies forget the current one, Feast 0.67); so does a plan `as_sdk`.
    """
    projections = definitions.asked(features)
    wanted: dict[tuple[str, str], None] = {}
    stored: dict[str, _Wanted] = {}
    request: dict[str, str] = {}
    for projection in projections:
        known = definitions.features_of(projection.view)
        for feature in projection.features:
            if feature not in known:
                raise BadData(f"view {projection.view!r} has no feature {feature!r}; has: {', '.join(known)}")
            wanted[projection.alias, feature] = None
        if (computed := definitions.computed.get(projection.view)) is None:
            _want(stored, projection, first=as_sdk and isinstance(features, str))
            continue
        request |= computed.request
        for source in computed.sources:
            _want(stored, source, first=as_sdk)
    parts = tuple(_asked(definitions, its) for its in stored.values())
    keys = {name: kind for asked in parts for name, kind in zip(asked.asked, asked.part.view.key_types, strict=True)}
    computed_ones = tuple(projection for projection in projections if projection.view in definitions.computed)
    references = tuple(f"{alias}:{name}" for alias, name in wanted if alias not in {each.alias for each in computed_ones})
    return Plan(parts, computed_ones, tuple(wanted), keys, request, references)


@dataclass(slots=True)
class _Wanted:
    projection: Projection
    features: dict[str, None]
    first: bool


def _want(stored: dict[str, _Wanted], projection: Projection, *, first: bool) -> None:
    its = stored.setdefault(projection.alias, _Wanted(projection, {}, first))
    its.features.update(dict.fromkeys(projection.features))


def _asked(definitions: Definitions, wanted: _Wanted) -> Asked:
    projection = wanted.projection
    if (view := definitions.views.get(projection.view)) is None:
        raise BadData(f"view {projection.view!r} is not stored; an on-demand view of another one cannot be computed")
    if wanted.first and "@v" not in projection.view:
        view = replace(view, table=view.name)
    asked = tuple(projection.join_keys.get(key, key) for key in view.join_keys)
    return Asked(projection.alias, Part(view, tuple(wanted.features)), asked)
