"""How a catalogue's files are named, and what the two small ones say: the pointer and a version's manifest."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from banquet.wire.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from banquet.wire.columns import Kind

POINTER = "current.json"
PARTS = "parts"
FORMAT = 2
_VERSION = re.compile(r"[0-9a-f]{16}")
_DIGEST = re.compile(r"[0-9a-f]{32}")
MALFORMED = (ValueError, KeyError, TypeError, AttributeError)


class BadCatalogue(ValueError):
    """A catalogue file is missing, changed or malformed; the text names the file."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which version is in force and when (unix seconds) it was last known to equal the online store."""

    version: str
    confirmed_at_s: float


@dataclass(frozen=True, slots=True)
class Contents:
    """What a version is made of: how many items, and the parts by digest. `columns` is by feature: kind, view, digest."""

    items: int
    ids: str
    columns: Mapping[str, tuple[Kind, str, str]]
    views: Mapping[str, str]

    def to_json(self) -> bytes:
        body = {
            "format": FORMAT,
            "items": self.items,
            "ids": self.ids,
            "columns": {name: list(entry) for name, entry in self.columns.items()},
            "views": dict(self.views),
        }
        return json.dumps(body, sort_keys=True, indent=1).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Contents:
        body = json.loads(text)
        if body["format"] != FORMAT:
            raise ValueError(f"format {body['format']}, this Banquet reads {FORMAT}")
        columns = {name: (kind, view, _checked_digest(digest)) for name, (kind, view, digest) in body["columns"].items()}
        views = {view: _checked_digest(digest) for view, digest in body["views"].items()}
        return cls(int(body["items"]), _checked_digest(body["ids"]), columns, views)

    def names(self) -> dict[str, str]:
        """What each part is, and its digest: `ids`, `column:<name>`, `view:<name>`."""
        columns = {f"column:{name}": digest for name, (_, _, digest) in self.columns.items()}
        return {"ids": self.ids, **columns, **{f"view:{view}": digest for view, digest in self.views.items()}}

    def digests(self) -> set[str]:
        return set(self.names().values())


def point_to(folder: Path, pointer: Pointer, *, durable: bool = True) -> None:
    """Put a version in force (it must exist in the folder); `durable` waits for the disk."""
    body = {"version": pointer.version, "confirmed_at_s": pointer.confirmed_at_s}
    write_atomically(folder / POINTER, json.dumps(body).encode(), durable=durable)


def read_pointer(folder: Path) -> Pointer | None:
    """The version in force, or None before the first build."""
    try:
        body = json.loads((folder / POINTER).read_bytes())
        return Pointer(_checked(body["version"]), float(body["confirmed_at_s"]))
    except FileNotFoundError:
        return None
    except MALFORMED as error:
        raise BadCatalogue(f"{folder / POINTER}: {error}; delete it and build the catalogue again") from error


def catalogue_path(folder: Path, version: str) -> Path:
    """Where a version's manifest lies. Raises `BadCatalogue` for what cannot be a version."""
    return folder / f"{_checked(version)}.json"


def part_path(folder: Path, digest: str) -> Path:
    """Where a part lies."""
    return folder / PARTS / f"{digest}.safetensors"


def is_version(name: str) -> bool:
    return _VERSION.fullmatch(name) is not None


def _checked(version: object) -> str:
    # A version becomes part of a path, and handlers take it from a payload.
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise BadCatalogue(f"catalogue version {version!r} is not 16 hex digits")
    return version


def _checked_digest(digest: object) -> str:
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise BadCatalogue(f"a part is called {digest!r}, which is not 32 hex digits")
    return digest
