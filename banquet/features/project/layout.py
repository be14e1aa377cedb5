"""What the online store holds and under which names: a small file beside the catalogue, written by a process of its own.

That process asks Feast; the gateway and the catalogue builder read the store by the file and never import Feast.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from banquet.core.errors import StageFailed
from banquet.features.stores.encoding import BadValue, KeyFormat

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LAYOUT_FILE = "layout.json"
HISTORY = "history"
LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class View:
    """A feature view as Banquet serves it: of whom (`entity`: user or item), and where its values lie.

    `table` is its versioned name in the online store; `join_keys` and `key_types` are in step; `features` maps names to Feast's
    value types; `ttl_s` 0 means that values never age. `renames` says which features are served under another name, because
    another view has one of the same name. A `computed` view is not stored: Feast's code makes it from others (an on-demand
    view), and `hidden` features are read for that alone. `own_key` is the join key that holds the user's or item's id; the parts
    of the key under `asked_keys` (join key -> name) other than that come from the request's context. `registered` is the view's
    name in the registry (`view@v2` for an older version) when that is another one.
    """

    name: str
    table: str
    entity: str
    join_keys: tuple[str, ...]
    key_types: tuple[str, ...]
    features: Mapping[str, str]
    ttl_s: int = 0
    renames: Mapping[str, str] = field(default_factory=dict)
    computed: bool = False
    hidden: tuple[str, ...] = ()
    own_key: str = ""
    asked_keys: Mapping[str, str] = field(default_factory=dict)
    registered: str = ""

    @property
    def asked(self) -> tuple[str, ...]:
        """The join keys by the names that they are asked for, in step with `join_keys`."""
        return tuple(self.asked_keys.get(key, key) for key in self.join_keys)

    @property
    def served(self) -> dict[str, str]:
        """The features with their types, but those that are read for others alone."""
        return {name: kind for name, kind in self.features.items() if name not in self.hidden}

    def column(self, feature: str) -> str:
        """The name a feature is served under."""
        return self.renames.get(feature, feature)

    def keys(self) -> KeyFormat:
        """How entity keys are written. Raises `BadValue` for keys of several parts and for types that cannot be read."""
        if len(self.join_keys) != 1:
            raise BadValue(f"view {self.name!r} has the join keys {', '.join(self.join_keys)}; one was expected")
        return KeyFormat(self.join_keys[0], self.key_types[0])

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> View:
        return cls(**body | {name: tuple(body[name]) for name in ("join_keys", "key_types", "hidden") if name in body})


@dataclass(frozen=True, slots=True)
class Layout:
    """The views of a project, as Feast's registry had them when it was `registry` (a token that changes with it).

    `users` and `items` are the views that the feature services `retrieval` and `ranking` name, or without such services all of
    the entities `user` and `item`. An item is what the first item view has; the history is a list in one of the user views.
    """

    project: str
    registry: str
    users: tuple[View, ...]
    items: tuple[View, ...]

    @property
    def views(self) -> tuple[View, ...]:
        return self.users + self.items

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Layout:
        body = json.loads(text)
        users, items = (tuple(View.from_dict(view) for view in body[name]) for name in ("users", "items"))
        return cls(body["project"], body["registry"], users, items)


def read_layout(folder: Path) -> Layout:
    """The layout published in a folder. Raises `StageFailed` until there is one."""
    file = folder / LAYOUT_FILE
    try:
        return Layout.from_json(file.read_text())
    except FileNotFoundError as error:
        raise StageFailed("unavailable", f"{file} is not there yet; the catalogue builder writes it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StageFailed("unavailable", f"{file}: {error}; delete it, the catalogue builder writes it again") from error


class LayoutFile:
    """The layout in force in a folder, looked for again at most once a second."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._layout: Layout | None = None
        self._written_ns = 0
        self._next_look_s = 0.0

    def current(self) -> Layout:
        """Raises `StageFailed` until there is one; a layout that was read once stays when its file vanishes."""
        now_s = time.monotonic()
        if self._layout is None or now_s >= self._next_look_s:
            self._next_look_s = now_s + LOOK_EVERY_S
            self._look()
        assert self._layout is not None, "_look raises otherwise"
        return self._layout

    def _look(self) -> None:
        try:
            written_ns = (self._folder / LAYOUT_FILE).stat().st_mtime_ns
        except FileNotFoundError:
            written_ns = 0
        if self._layout is None or written_ns not in {0, self._written_ns}:
            self._layout = read_layout(self._folder)
            self._written_ns = written_ns


def registry_token(file: Path | None) -> str:
    """Changes whenever the registry file does; empty when there is none or it lies elsewhere."""
    if file is None:
        return ""
    try:
        state = file.stat()
    except FileNotFoundError:
        return ""
    return f"{state.st_mtime_ns}-{state.st_size}-{state.st_ino}"
