"""The releases of a workspace: `<root>/<version>/` folders, and which of them is in force (see `rollout_file`)."""

from __future__ import annotations

import re
import shutil
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

from banquet.core.errors import BadRelease
from banquet.releases import rollout_file
from banquet.releases.manifest import load
from banquet.wire.manifest_file import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_VERSION = re.compile(r"[0-9a-f]{12}")


@contextmanager
def making(root: Path) -> Iterator[Path]:
    """A new folder to make a release in, on the same filesystem; gone afterwards, unless it was added."""
    folder = root / f".making-{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def add(root: Path, folder: Path) -> Path:
    """Move a sealed folder (on the same filesystem) to its place and return that; one already there stays."""
    place = root / load(folder).version
    if place.exists():
        shutil.rmtree(folder)
    else:
        root.mkdir(parents=True, exist_ok=True)
        folder.rename(place)
    return place


def versions(root: Path) -> list[str]:
    """Versions of all releases, oldest first."""
    folders = [path.parent for path in root.glob(f"*/{MANIFEST}") if _VERSION.fullmatch(path.parent.name)]
    return [folder.name for folder in sorted(folders, key=lambda folder: (load(folder).created_at, folder.name))]


def current(root: Path) -> str | None:
    """The version in force, the stable one, or None before the first. Raises `BadRelease` when the state names no version."""
    version = rollout_file.read(root).stable
    if version and not _VERSION.fullmatch(version):
        raise BadRelease(
            f"{root / rollout_file.STATE}: stable is {version!r}, no version (12 hex digits); put one in force again"
        )
    return version or None


def put_in_force(root: Path, version: str) -> bool:
    """Make a version the stable one; False when releases are being served, which change by a deployment alone.

    Raises `BadRelease` when there is no such release.
    """
    resolve(root, version)
    if rollout_file.has_deployer(root):
        return False
    rollout_file.change(root, "train", version, lambda state: state.put_in_force(version))
    return True


def resolve(root: Path, version: str | None = None) -> Path:
    """The folder of a version, or of the one in force. Raises `BadRelease` that names what there is."""
    wanted = version or current(root)
    if wanted is None:
        raise BadRelease(f"{root}: no release is in force; train one with `banquet train`")
    folder = root / wanted
    if not _VERSION.fullmatch(wanted) or not (folder / MANIFEST).is_file():
        raise BadRelease(f"{root}: no release {wanted!r}; has: {', '.join(versions(root)) or 'none'}")
    return folder
