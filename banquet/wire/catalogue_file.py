"""The catalogue as files: every item's features as columns, written once, memory-mapped by whoever reads them.

A folder holds `parts/<digest>.safetensors` (the ids, one feature, or one view's statuses and times), a manifest
`<version>.json` per version that names its parts, and `current.json`, which names the version in force and the moment its content
was last confirmed. Parts and manifests never change once named; a part that stays the same is shared by version after version.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from banquet.wire.catalogue_contents import (
    MALFORMED,
    PARTS,
    POINTER,
    BadCatalogue,
    Contents,
    Pointer,
    catalogue_path,
    is_version,
    part_path,
    point_to,
    read_pointer,
)
from banquet.wire.columns import Column, Kind, Strings
from banquet.wire.files import sha256_of, write_atomically
from banquet.wire.item_index import ItemIndex
from banquet.wire.tensors import BadTensors, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "KEPT_VERSIONS",
    "POINTER",
    "BadCatalogue",
    "CatalogueFile",
    "CatalogueReader",
    "Column",
    "Contents",
    "Kind",
    "Pointer",
    "Strings",
    "catalogue_path",
    "column_part",
    "drop_damaged",
    "ids_part",
    "is_published",
    "point_to",
    "publish",
    "read_catalogue",
    "read_pointer",
    "view_part",
    "write_catalogue",
]

KEPT_VERSIONS = 6
# A part nobody names may be one that another process is about to name.
UNNAMED_S = 60.0


@dataclass(frozen=True)
class CatalogueFile:
    """One version: `ids` of N items, `columns` by feature name, and per view `statuses` uint8 [N] (Feast's FieldStatus) and
    `event_times_us` int64 [N] (microseconds since 1970 UTC, 0 when the store has none).

    `parts` names the content of `ids` and of each `column:<name>` and `view:<name>`: what has the same name is the same.
    """

    version: str
    ids: Strings
    columns: Mapping[str, Column]
    statuses: Mapping[str, NDArray[np.uint8]]
    event_times_us: Mapping[str, NDArray[np.int64]]
    index: ItemIndex | None = None
    parts: Mapping[str, str] = field(default_factory=dict)


def write_catalogue(
    folder: Path,
    ids: Sequence[str],
    columns: Mapping[str, Column],
    *,
    statuses: Mapping[str, NDArray[np.uint8]],
    event_times_us: Mapping[str, NDArray[np.int64]],
    confirmed_at_s: float,
) -> str:
    """Publish a version and return it: the first 16 hex digits of its manifest's sha256. Equal content keeps its version."""
    strings = Strings.of(ids)
    contents = Contents(
        len(strings),
        ids_part(folder, strings),
        {name: (column.kind, column.view, column_part(folder, column)) for name, column in columns.items()},
        {view: view_part(folder, statuses[view], event_times_us[view]) for view in statuses},
    )
    return publish(folder, contents, confirmed_at_s)


def ids_part(folder: Path, ids: Strings) -> str:
    """Write the ids, with the index by which they are found; the part's digest."""
    index = ItemIndex.of(ids)
    arrays: dict[str, NDArray[Any]] = {
        "ids.blob": ids.blob,
        "ids.offsets": ids.offsets,
        "index.hashes": index.hashes,
        "index.rows": index.rows,
    }
    return _write_part(folder, arrays)


def column_part(folder: Path, column: Column) -> str:
    """Write one feature; the part's digest."""
    arrays: dict[str, NDArray[Any]] = {"values": column.values}
    if column.offsets is not None:
        arrays["offsets"] = column.offsets
    if column.vocabulary is not None:
        arrays |= {"vocabulary.blob": column.vocabulary.blob, "vocabulary.offsets": column.vocabulary.offsets}
    if column.absent is not None and column.absent.any():
        arrays["absent"] = column.absent
    return _write_part(folder, arrays)


def view_part(folder: Path, statuses: NDArray[np.uint8], event_times_us: NDArray[np.int64]) -> str:
    """Write one view's statuses and event times; the part's digest."""
    return _write_part(folder, {"status": statuses, "event_time": event_times_us})


def publish(folder: Path, contents: Contents, confirmed_at_s: float) -> str:
    """Put a version in force, made of parts that were written. What is no longer needed is dropped."""
    body = contents.to_json()
    version = hashlib.sha256(body).hexdigest()[:16]
    path = catalogue_path(folder, version)
    if not path.exists():
        write_atomically(path, body, durable=False)
    else:
        os.utime(path)
    point_to(folder, Pointer(version, confirmed_at_s))
    _drop_old(folder, version)
    return version


def drop_damaged(folder: Path) -> list[str]:
    """Delete the files whose content is not what they are named for, so that they are written again; their names."""
    damaged = [path for path in (folder / PARTS).glob("*.safetensors") if sha256_of(path)[:32] != path.stem]
    damaged += [path for path in folder.glob("*.json") if is_version(path.stem) and sha256_of(path)[:16] != path.stem]
    for path in damaged:
        path.unlink(missing_ok=True)
    return [path.name for path in damaged]


def is_published(folder: Path, version: str) -> bool:
    """Whether a version is there with all its parts, by name alone."""
    try:
        contents = Contents.from_json(catalogue_path(folder, version).read_bytes())
    except (OSError, *MALFORMED):
        return False
    return all(part_path(folder, digest).is_file() for digest in contents.digests())


def read_catalogue(folder: Path, version: str) -> CatalogueFile:
    """Memory-map one version and check it against its name. Raises `BadCatalogue` naming the file."""
    return CatalogueReader(folder).read(version)


class CatalogueReader:
    """Maps the versions of one folder. A part that one of the last versions read has, too, is mapped and checked only once."""

    KEPT = 3

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._recent: list[dict[str, dict[str, NDArray[Any]]]] = []

    def read(self, version: str) -> CatalogueFile:
        """Memory-map one version and check it against its name. Raises `BadCatalogue` naming the file."""
        contents = self._contents(version)
        held: dict[str, dict[str, NDArray[Any]]] = {}
        for digest in contents.digests():
            held[digest] = next((known for recent in self._recent if (known := recent.get(digest))), {}) or self._part(digest)
        self._recent = [held, *self._recent][: self.KEPT]
        try:
            columns = {name: _column(held[digest], kind, view) for name, (kind, view, digest) in contents.columns.items()}
            ids = held[contents.ids]
            return CatalogueFile(
                version,
                _strings(ids, "ids"),
                columns,
                {view: held[digest]["status"] for view, digest in contents.views.items()},
                {view: held[digest]["event_time"] for view, digest in contents.views.items()},
                ItemIndex(ids["index.hashes"], ids["index.rows"]),
                contents.names(),
            )
        except KeyError as error:
            raise BadCatalogue(
                f"{catalogue_path(self._folder, version)}: a part lacks {error}; build the catalogue again"
            ) from error

    def _contents(self, version: str) -> Contents:
        path = catalogue_path(self._folder, version)
        try:
            body = path.read_bytes()
        except OSError as error:
            raise BadCatalogue(f"{path}: {error}") from error
        if hashlib.sha256(body).hexdigest()[:16] != version:
            raise BadCatalogue(f"{path}: content does not match its version; delete it and build the catalogue again")
        try:
            return Contents.from_json(body)
        except MALFORMED as error:
            raise BadCatalogue(f"{path}: {error}") from error

    def _part(self, digest: str) -> dict[str, NDArray[Any]]:
        path = part_path(self._folder, digest)
        try:
            body = np.memmap(path, np.uint8, mode="r")
        except (OSError, ValueError) as error:
            raise BadCatalogue(f"{path}: {error}") from error
        if hashlib.sha256(body.data).hexdigest()[:32] != digest:
            raise BadCatalogue(f"{path}: content does not match its name; delete it and build the catalogue again")
        try:
            return unpack(body)[0]
        except BadTensors as error:
            raise BadCatalogue(f"{path}: {error}") from error


def _write_part(folder: Path, arrays: Mapping[str, NDArray[Any]]) -> str:
    content = pack(arrays)
    digest = hashlib.sha256(content).hexdigest()[:32]
    path = part_path(folder, digest)
    try:
        os.utime(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not synced: after a crash the builder drops what did not reach the disk, see `drop_damaged`.
        write_atomically(path, content, durable=False)
    return digest


def _column(arrays: Mapping[str, NDArray[Any]], kind: Kind, view: str) -> Column:
    vocabulary = _strings(arrays, "vocabulary") if "vocabulary.blob" in arrays else None
    return Column(kind, view, arrays["values"], vocabulary, arrays.get("offsets"), arrays.get("absent"))


def _strings(arrays: Mapping[str, NDArray[Any]], name: str) -> Strings:
    return Strings(arrays[f"{name}.blob"], arrays[f"{name}.offsets"])


def _drop_old(folder: Path, current: str) -> None:
    """Keep the last few versions and their parts."""
    manifests = [path for path in folder.glob("*.json") if is_version(path.stem)]
    by_age = sorted(manifests, key=lambda path: path.stat().st_mtime, reverse=True)
    others = [path for path in by_age if path.stem != current]
    for path in others[KEPT_VERSIONS - 1 :]:
        path.unlink(missing_ok=True)
    named: set[str] = set()
    for path in [catalogue_path(folder, current), *others[: KEPT_VERSIONS - 1]]:
        try:
            named |= Contents.from_json(path.read_bytes()).digests()
        except (OSError, *MALFORMED):
            # Damaged: nobody can read it, so nobody needs its parts.
            continue
    before_s = time.time() - UNNAMED_S
    for part in (folder / PARTS).glob("*.safetensors"):
        if part.stem not in named and part.stat().st_mtime < before_s:
            part.unlink(missing_ok=True)
    for old in folder.glob("*.safetensors"):
        # Written by Banquet 0.1 in one piece.
        old.unlink(missing_ok=True)
