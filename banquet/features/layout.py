"""What the online store holds and under which names: a small file beside the catalogue, written by a process of its own.

That process asks Feast; the gateway and the catalogue builder read the store by the file and never import Feast.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from banquet.core.errors import StageFailed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LAYOUT_FILE = "layout.json"
USER_VIEWS = ("user_profile", "user_activity")
ITEM_VIEWS = ("item_profile", "item_activity")
HISTORY = "history"
LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class View:
    """A feature view in the online store: `table` is its versioned name there, `features` maps names to Feast's value types."""

    name: str
    table: str
    join_key: str
    key_type: str
    features: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Layout:
    """The views of a project, as Feast's registry had them when it was `registry` (a token that changes with it)."""

    project: str
    registry: str
    views: tuple[View, ...]

    def views_of(self, names: tuple[str, ...]) -> tuple[View, ...]:
        """The named views, in that order."""
        by_name = {view.name: view for view in self.views}
        return tuple(by_name[name] for name in names)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Layout:
        body = json.loads(text)
        return cls(body["project"], body["registry"], tuple(View(**view) for view in body["views"]))


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
