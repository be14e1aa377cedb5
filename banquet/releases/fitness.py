"""Whether a release can be served at all, before any server is asked to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from banquet.core.errors import BadRelease
from banquet.releases import mar, registry
from banquet.releases.archive import MODELS
from banquet.releases.manifest import load, verify
from banquet.wire.schema import SchemaMismatch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from banquet.wire.columns import Column
    from banquet.wire.manifest_file import Manifest


def archive_name(model: str, release: str) -> str:
    """As `archive.build` names it in the model store."""
    return f"{model}-{release}.mar"


def check_files(release: Path, model_store: Path) -> Manifest:
    """Every byte of a release and of its archives. Raises `BadRelease` naming what is missing or changed, and the remedy."""
    manifest = verify(release)
    for model in MODELS:
        path = model_store / archive_name(model, manifest.version)
        if not path.is_file():
            raise BadRelease(f"{path}: no such archive; run `banquet release build --release {manifest.version}`")
        archive = mar.verify(path)
        if (archive.model, archive.release) != (model, manifest.version):
            raise BadRelease(f"{path}: holds {archive.model} of release {archive.release}; build the archive again")
    return manifest


def build_hint(releases: Path, model_store: Path) -> str:
    """What to run so that the newest release can be served; empty when it has its archives, or when there is no release."""
    newest = next(reversed(registry.versions(releases)), None)
    if newest is None or all((model_store / archive_name(model, newest)).is_file() for model in MODELS):
        return ""
    stable = registry.current(releases)
    todo = f"release {newest} has no archives for TorchServe yet: banquet release build --release {newest}"
    if newest == stable:
        return todo
    return f"{todo}, then banquet release canary {newest} (stable is {stable or 'none'})"


def check_schema(release: Path, columns: Mapping[str, Column], catalogue: str) -> None:
    """Raises `BadRelease` naming the feature that a catalogue lacks or has otherwise."""
    try:
        load(release).schema.check_items(columns)
    except SchemaMismatch as error:
        raise BadRelease(
            f"release {release.name} does not fit catalogue {catalogue}: {error}; train it on the features that are served"
        ) from error
