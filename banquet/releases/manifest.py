"""Sealing a release folder and telling whether it still is what was sealed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from banquet.core.errors import BadRelease
from banquet.wire.files import sha256_of, write_atomically
from banquet.wire.manifest_file import (
    FORMAT,
    GOLDEN,
    ITEMS,
    MANIFEST,
    BadManifest,
    Manifest,
    check_file,
    encode_manifest,
    read_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from banquet.wire.schema import FeatureSchema

__all__ = ["Manifest", "load", "seal", "verify"]


def seal(
    folder: Path,
    *,
    schema: FeatureSchema,
    models: Mapping[str, Mapping[str, Any]],
    metrics: Mapping[str, Any],
    dataset: str,
    preset: str,
    seed: int,
    made_from: Mapping[str, Any] | None = None,
    ranking_left_out: Sequence[str] = (),
) -> str:
    """Write the manifest of a finished folder and return the release's version.

    `models[graph]` holds at least `inputs` and `outputs`, the graph's tensor names in order. Raises `BadRelease` naming a file
    that the release needs and the folder lacks, or item ids that differ from the schema's.
    """
    needed = [ITEMS, GOLDEN, *(part for graph in models for part in (f"graphs/{graph}.onnx", f"programs/{graph}.pt2"))]
    files = {name: sha256_of(folder / name) for name in _files_in(folder)}
    for name in needed:
        if name not in files:
            raise BadRelease(f"{folder / name}: missing; a release needs {', '.join(needed)}")
    body = {
        "format": FORMAT,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "dataset": dataset,
        "preset": preset,
        "seed": seed,
        "schema": schema.to_json(),
        "models": models,
        "metrics": metrics,
        "files": files,
        **({"made_from": made_from} if made_from else {}),
        **({"ranking_left_out": list(ranking_left_out)} if ranking_left_out else {}),
    }
    try:
        content = encode_manifest(body)
    except (ValueError, TypeError) as error:
        raise BadRelease(
            f"{folder / MANIFEST}: a value is not JSON: {error}; use plain finite numbers, texts and lists"
        ) from error
    write_atomically(folder / MANIFEST, content)
    sealed = load(folder)
    if sealed.schema != schema:
        (folder / MANIFEST).unlink()
        raise BadRelease(f"{folder / ITEMS}: its item ids are not those of the schema, in the order of their index")
    return sealed.version


def load(folder: Path) -> Manifest:
    """A sealed release's manifest, its schema with item ids. Raises `BadRelease` when the manifest or the item ids changed."""
    try:
        return read_manifest(folder)
    except BadManifest as error:
        raise BadRelease(str(error)) from error


def verify(folder: Path) -> Manifest:
    """The manifest, after every file was compared with it. Raises `BadRelease` naming the one missing, changed or extra."""
    manifest = load(folder)
    try:
        for name, digest in sorted(manifest.files.items()):
            check_file(folder, name, digest)
    except BadManifest as error:
        raise BadRelease(str(error)) from error
    for name in _files_in(folder):
        if name not in manifest.files:
            raise BadRelease(f"{folder / name}: not part of the release; remove it")
    return manifest


def _files_in(folder: Path) -> list[str]:
    """Paths of every file but the manifest, relative to the folder, sorted."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return sorted(path.as_posix() for path in paths if path.as_posix() != MANIFEST)
