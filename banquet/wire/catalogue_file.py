"""The catalogue as a file: every item's features as columns, written once, memory-mapped by whoever reads it.

A folder holds `<version>.safetensors` files and `current.json`, which names the one in force and the moment its content was last
confirmed. Files never change once named; `current.json` is replaced by an atomic rename.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from banquet.wire.files import write_atomically
from banquet.wire.tensors import BadTensors, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

Kind = Literal["number", "category", "categories"]
KEPT_VERSIONS = 3
POINTER = "current.json"
_VERSION = re.compile(r"[0-9a-f]{16}")


class BadCatalogue(ValueError):
    """A catalogue file is missing, changed or malformed; the text names the file."""


@dataclass(frozen=True, slots=True)
class Strings:
    """An immutable list of strings in two arrays: `blob` uint8 [bytes] and `offsets` int64 [n + 1]."""

    blob: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Strings:
        encoded = [text.encode() for text in texts]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(text) for text in encoded], out=offsets[1:])
        return cls(np.frombuffer(b"".join(encoded), np.uint8), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> str:
        return self.blob[self.offsets[index] : self.offsets[index + 1]].tobytes().decode()

    def to_list(self) -> list[str]:
        whole = self.blob.tobytes()
        bounds = self.offsets.tolist()
        return [whole[a:b].decode() for a, b in pairwise(bounds)]


@dataclass(frozen=True, slots=True)
class Column:
    """One feature of every item.

    number:     `values` float32, float64, int64 or bool [N]; missing is NaN (floats) or the type's zero.
    category:   `values` int32 [N], codes into `vocabulary`; missing is -1.
    categories: `values` int32 [sum of lengths], codes; item i has `values[offsets[i]:offsets[i + 1]]`, `offsets` int64 [N + 1].
    """

    kind: Kind
    view: str
    values: NDArray[Any]
    vocabulary: Strings | None = None
    offsets: NDArray[np.int64] | None = None

    def text(self, row: int) -> str:
        """The value of one row as a person reads it; empty when missing."""
        if self.kind == "number":
            value = self.values[row]
            return "" if value != value else str(value.item())  # noqa: PLR0124 - NaN is the one value unlike itself
        if self.vocabulary is None:
            return ""
        codes = [self.values[row]] if self.offsets is None else self.values[self.offsets[row] : self.offsets[row + 1]]
        return "|".join(self.vocabulary[int(code)] for code in codes if code >= 0)


@dataclass(frozen=True, slots=True)
class CatalogueFile:
    """One version: `ids` of N items, `columns` by feature name, and per view `statuses` uint8 [N] (Feast's FieldStatus) and
    `event_times_us` int64 [N] (microseconds since 1970 UTC, 0 when the store has none).
    """

    version: str
    ids: Strings
    columns: Mapping[str, Column]
    statuses: Mapping[str, NDArray[np.uint8]]
    event_times_us: Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which version is in force and when (unix seconds) it was last known to equal the online store."""

    version: str
    confirmed_at_s: float


def write_catalogue(
    folder: Path,
    ids: Sequence[str],
    columns: Mapping[str, Column],
    *,
    statuses: Mapping[str, NDArray[np.uint8]],
    event_times_us: Mapping[str, NDArray[np.int64]],
    confirmed_at_s: float,
) -> str:
    """Publish a version and return it: the first 16 hex digits of the content's sha256. Equal content keeps its version."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[Any]] = {}
    described: dict[str, dict[str, str]] = {}
    _put_strings(arrays, "ids", Strings.of(ids))
    for name, column in sorted(columns.items()):
        described[name] = {"kind": column.kind, "view": column.view}
        arrays[f"values/{name}"] = column.values
        if column.offsets is not None:
            arrays[f"list_offsets/{name}"] = column.offsets
        if column.vocabulary is not None:
            _put_strings(arrays, f"vocabulary/{name}", column.vocabulary)
    arrays |= {f"status/{view}": array for view, array in statuses.items()}
    arrays |= {f"event_time/{view}": array for view, array in event_times_us.items()}
    content = pack(arrays, {"columns": json.dumps(described, sort_keys=True)})
    version = hashlib.sha256(content).hexdigest()[:16]
    path = catalogue_path(folder, version)
    if not path.exists():
        write_atomically(path, content)
    point_to(folder, Pointer(version, confirmed_at_s))
    _drop_old(folder, version)
    return version


def point_to(folder: Path, pointer: Pointer) -> None:
    """Put a version in force (it must exist in the folder)."""
    body = {"version": pointer.version, "confirmed_at_s": pointer.confirmed_at_s}
    write_atomically(folder / POINTER, json.dumps(body).encode())


def read_pointer(folder: Path) -> Pointer | None:
    """The version in force, or None before the first build."""
    try:
        body = json.loads((folder / POINTER).read_bytes())
        return Pointer(_checked(body["version"]), float(body["confirmed_at_s"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise BadCatalogue(f"{folder / POINTER}: {error}; delete it and build the catalogue again") from error


def catalogue_path(folder: Path, version: str) -> Path:
    """Where a version lies. Raises `BadCatalogue` for what cannot be a version."""
    return folder / f"{_checked(version)}.safetensors"


def read_catalogue(folder: Path, version: str) -> CatalogueFile:
    """Memory-map one version and check it against its name. Raises `BadCatalogue` naming the file."""
    path = catalogue_path(folder, version)
    try:
        body = np.memmap(path, np.uint8, mode="r")
    except (FileNotFoundError, ValueError) as error:
        raise BadCatalogue(f"{path}: {error}") from error
    if hashlib.sha256(body.data).hexdigest()[:16] != version:
        raise BadCatalogue(f"{path}: content does not match its version; delete it and build the catalogue again")
    try:
        arrays, metadata = unpack(body)
        described = json.loads(metadata["columns"])
        columns = {name: _column(arrays, name, entry) for name, entry in described.items()}
        return CatalogueFile(
            version, _strings(arrays, "ids"), columns, _by_view(arrays, "status/"), _by_view(arrays, "event_time/")
        )
    except (BadTensors, KeyError, ValueError) as error:
        raise BadCatalogue(f"{path}: {error}") from error


def _column(arrays: Mapping[str, NDArray[Any]], name: str, entry: Mapping[str, Any]) -> Column:
    vocabulary = _strings(arrays, f"vocabulary/{name}") if f"vocabulary/{name}.blob" in arrays else None
    return Column(entry["kind"], entry["view"], arrays[f"values/{name}"], vocabulary, arrays.get(f"list_offsets/{name}"))


def _by_view(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _put_strings(arrays: dict[str, NDArray[Any]], name: str, strings: Strings) -> None:
    arrays[f"{name}.blob"], arrays[f"{name}.offsets"] = strings.blob, strings.offsets


def _strings(arrays: Mapping[str, NDArray[Any]], name: str) -> Strings:
    return Strings(arrays[f"{name}.blob"], arrays[f"{name}.offsets"])


def _checked(version: str) -> str:
    # A version becomes part of a path, and handlers take it from a payload.
    if not _VERSION.fullmatch(version):
        raise BadCatalogue(f"catalogue version {version!r} is not 16 hex digits")
    return version


def _drop_old(folder: Path, current: str) -> None:
    by_age = sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in [path for path in by_age if path.stem != current][KEPT_VERSIONS - 1 :]:
        path.unlink(missing_ok=True)
