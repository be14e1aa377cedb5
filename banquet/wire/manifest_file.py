"""A release's manifest: what the release is, what its graphs take, and the sha256 of every file beside it.

`manifest.json` is canonical JSON (sorted keys, no spaces). `version` is the first 12 hex digits of the sha256 of all that was
learned (everything but `created_at`, `version` and `checksum`); `checksum` covers the whole body, so that no byte can change
unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from banquet.wire.catalogue_file import Strings
from banquet.wire.files import sha256_of
from banquet.wire.schema import FeatureSchema
from banquet.wire.tensors import BadTensors, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MANIFEST = "manifest.json"
ITEMS = "items.safetensors"
GOLDEN = "golden.safetensors"
FORMAT = 1


class BadManifest(ValueError):
    """A release's file is missing, changed, unexpected or malformed; the text names it."""


@dataclass(frozen=True)
class Manifest:
    """One release.

    `models[graph]` describes a graph: `inputs` and `outputs` (tensor names, in order) and whatever dimensions and limits it has.
    `files` maps each file's path, relative to the folder, to its sha256. `made_from` names the `release` that this one was made
    smaller from and what was done to it; empty for a release that was trained. `ranking_left_out` names the questions (of
    `core.questions`) that retrieval alone answers better than with the ranking model.
    """

    version: str
    created_at: str
    dataset: str
    preset: str
    seed: int
    schema: FeatureSchema
    models: Mapping[str, Mapping[str, Any]]
    metrics: Mapping[str, Any]
    files: Mapping[str, str]
    made_from: Mapping[str, Any] = field(default_factory=dict)
    ranking_left_out: tuple[str, ...] = ()

    def files_for(self, graphs: Sequence[str]) -> dict[str, str]:
        """The files that some of the graphs need; a graph's weights may lie in a neighbour (`<graph>.onnx.data`)."""
        own = tuple(part for graph in graphs for part in (f"graphs/{graph}.onnx", f"programs/{graph}.pt2"))
        needed = [name for name in self.files if not name.startswith(("graphs/", "programs/")) or name.startswith(own)]
        return {name: self.files[name] for name in needed}


def encode_manifest(body: Mapping[str, Any]) -> bytes:
    """Canonical bytes of a body, with its `version` and `checksum` put in."""
    learned = {key: value for key, value in body.items() if key not in ("created_at", "version", "checksum")}
    versioned = {**learned, "created_at": body["created_at"], "version": _digest(learned)[:12]}
    return _canonical({**versioned, "checksum": _digest(versioned)})


def read_manifest(folder: Path) -> Manifest:
    """The manifest with its schema's item ids. Raises `BadManifest` naming the file that is missing or not as it was sealed."""
    path = folder / MANIFEST
    body = _read_body(path)
    try:
        files = {str(name): str(digest) for name, digest in body["files"].items()}
        if ITEMS not in files:
            raise BadManifest(f"{path}: does not list {ITEMS}; train again")
        check_file(folder, ITEMS, files[ITEMS])
        schema = FeatureSchema.from_json(body["schema"], _item_ids(folder / ITEMS))
        return Manifest(
            version=body["version"],
            created_at=body["created_at"],
            dataset=body["dataset"],
            preset=body["preset"],
            seed=int(body["seed"]),
            schema=schema,
            models=body["models"],
            metrics=body["metrics"],
            files=files,
            made_from=body.get("made_from", {}),
            ranking_left_out=tuple(body.get("ranking_left_out", ())),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise BadManifest(f"{path}: has no usable {error}; train again") from error


def user_vector_size(golden: Mapping[str, NDArray[Any]]) -> int:
    """How many numbers the history encoder of a golden batch gives of one user: of one vector, or of several."""
    users = golden["history_encoder/out/user_vector"]
    return int(users[0].size)


def check_file(folder: Path, name: str, expected_sha256: str) -> None:
    """Raises `BadManifest` naming the file when it is missing or changed."""
    path = folder / name
    if not path.is_file():
        raise BadManifest(f"{path}: missing; copy the release again or train again")
    if sha256_of(path) != expected_sha256:
        raise BadManifest(f"{path}: changed since the release was sealed; copy the release again or train again")


def _read_body(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
        body: dict[str, Any] = json.loads(content)
        as_sealed = encode_manifest(body)
    except OSError as error:
        raise BadManifest(f"{path}: {error.strerror or error}; not a sealed release") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadManifest(f"{path}: not a manifest: {error}; copy the release again or train again") from error
    if content != as_sealed:
        raise BadManifest(f"{path}: changed since the release was sealed; copy the release again or train again")
    if body.get("format") != FORMAT:
        raise BadManifest(f"{path}: has format {body.get('format')!r}, this Banquet reads {FORMAT}; train again")
    return body


def _item_ids(path: Path) -> list[str]:
    try:
        arrays, _ = unpack(path.read_bytes())
        return Strings(arrays["ids.blob"], arrays["ids.offsets"]).to_list()
    except (BadTensors, KeyError) as error:
        raise BadManifest(f"{path}: has no item ids ({error}); train again") from error


def _canonical(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(body)).hexdigest()
