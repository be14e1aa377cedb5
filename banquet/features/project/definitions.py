"""What a Feast project defines: every feature view, feature service and on-demand view, as they can be read online."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from banquet.core.errors import BadData
from banquet.features.project.layout import View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

DEFINITIONS_FILE = "definitions.json"


@dataclass(frozen=True, slots=True)
class Projection:
    """Some features of the view `view`, under the name `alias` (Feast's `name_to_use`).

    `join_keys` says which of the view's join keys are asked for under another name.
    """

    view: str
    alias: str
    features: tuple[str, ...]
    join_keys: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> Projection:
        return cls(**body | {"features": tuple(body["features"])})


@dataclass(frozen=True, slots=True)
class Computed:
    """An on-demand view: Feast's code makes its `features` from those of `sources` and from `request` data (name -> type)."""

    name: str
    features: Mapping[str, str]
    sources: tuple[Projection, ...]
    request: Mapping[str, str]

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> Computed:
        return cls(**body | {"sources": tuple(Projection.from_dict(source) for source in body["sources"])})


@dataclass(frozen=True, slots=True)
class Definitions:
    """A project's views by the names that references use (`view`, `view@v2`), its on-demand views and its feature services.

    `own_keys` maps an entity, and the role that its tag `banquet` gives it, to its join key.
    """

    project: str
    views: Mapping[str, View]
    computed: Mapping[str, Computed] = field(default_factory=dict)
    services: Mapping[str, tuple[Projection, ...]] = field(default_factory=dict)
    own_keys: Mapping[str, str] = field(default_factory=dict)

    def asked(self, features: str | Sequence[str]) -> tuple[Projection, ...]:
        """What a feature service's name or a list of references `view:feature` asks for. Raises `BadData` naming the unknown."""
        if isinstance(features, str):
            if features not in self.services:
                raise BadData(f"no feature service {features!r} in project {self.project!r}; has: {', '.join(self.services)}")
            return self.services[features]
        by_view: dict[str, dict[str, None]] = {}
        for reference in features:
            view, separator, feature = reference.partition(":")
            if not separator:
                raise BadData(f"{reference!r} is no feature reference; write `view:feature`")
            by_view.setdefault(view, {})[feature] = None
        return tuple(Projection(view, view, tuple(names)) for view, names in by_view.items())

    def features_of(self, view: str) -> Mapping[str, str]:
        """The features of a view of either sort, with their types. Raises `BadData` for an unknown one."""
        if (its := self.views.get(view) or self.computed.get(view)) is None:
            known = ", ".join([*self.views, *self.computed])
            raise BadData(f"no feature view {view!r} in project {self.project!r}; has: {known}")
        return its.features

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Definitions:
        body = json.loads(text)
        return cls(
            body["project"],
            {name: View.from_dict(view) for name, view in body["views"].items()},
            {name: Computed.from_dict(view) for name, view in body["computed"].items()},
            {name: tuple(Projection.from_dict(each) for each in its) for name, its in body["services"].items()},
            body["own_keys"],
        )


def read_definitions(folder: Path) -> Definitions:
    """The definitions published in a folder. Raises `BadData` until there are some."""
    file = folder / DEFINITIONS_FILE
    try:
        return Definitions.from_json(file.read_text())
    except FileNotFoundError as error:
        raise BadData(f"{file} is not there yet; the catalogue builder writes it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(
            f"{file}: {error}; delete it and {folder / 'layout.json'}, the catalogue builder writes both again"
        ) from error
