"""The `.mar` format: the zip that torch-model-archiver 0.12 writes, with every entry's sha256 in its manifest.

Written here instead, because the archiver stamps the time of day, takes file times along and cannot place a folder, while the
same content must give the same bytes. Entries are stored, not deflated: weights do not shrink, and zlib's output differs between
versions.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from banquet.core.errors import BadRelease
from banquet.wire.files import sha256_of, temporary_neighbour

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAR_MANIFEST = "MAR-INF/MANIFEST.json"
CONFIG_FILE = "model-config.yaml"
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = 0o100644 << 16
_UNIX = 3
_PIECE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Archive:
    """What an archive says of itself; `files` maps each entry to its sha256."""

    path: Path
    model: str
    release: str
    created_at: str
    files: Mapping[str, str]


def write(path: Path, model: str, release: str, created_at: str, entries: Mapping[str, Path | bytes]) -> bool:
    """Write an archive of files and contents, atomically; False when the very same one is there already.

    Raises `BadRelease` naming the archive when it cannot be written.
    """
    archive = Archive(path, model, release, created_at, {name: _sha256(entries[name]) for name in sorted(entries)})
    if path.exists() and _still_is(archive):
        return False
    try:
        with temporary_neighbour(path) as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as zipped:
                _put(zipped, MAR_MANIFEST, _manifest(archive))
                for name in archive.files:
                    _put(zipped, name, entries[name])
            os.fchmod(file.fileno(), 0o644)
    except OSError as error:
        where = error.filename if error.filename == str(path) else f"{path}: {error.filename}"
        raise BadRelease(
            f"{where}: the archive cannot be written ({error.strerror}); make room, or name another folder with --model-store"
        ) from error
    return True


def inspect(path: Path) -> Archive:
    """What an archive says of itself, unchecked. Raises `BadRelease` when it is no archive of ours."""
    try:
        with zipfile.ZipFile(path) as zipped:
            body = json.loads(zipped.read(MAR_MANIFEST))
        return Archive(path, body["model"]["modelName"], body["banquet"]["release"], body["createdOn"], body["banquet"]["files"])
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise BadRelease(f"{path}: not an archive of a release ({error}); build it again") from error


def verify(path: Path) -> Archive:
    """The same after every byte was checked. Raises `BadRelease` naming the entry that is missing, changed or extra."""
    archive = inspect(path)
    try:
        with zipfile.ZipFile(path) as zipped:
            if zipped.read(MAR_MANIFEST) != _manifest(archive):
                raise BadRelease(f"{path}: {MAR_MANIFEST} changed; build the archive again")
            present = set(zipped.namelist()) - {MAR_MANIFEST}
            for name in sorted(present | set(archive.files)):
                if name not in archive.files or name not in present:
                    raise BadRelease(f"{path}: {name} is {'extra' if name in present else 'missing'}; build the archive again")
                if _sha256_inside(zipped, name) != archive.files[name]:
                    raise BadRelease(f"{path}: {name} changed; build the archive again")
    except zipfile.BadZipFile as error:
        raise BadRelease(f"{path}: {error}; build the archive again") from error
    return archive


def read(path: Path, name: str) -> bytes:
    """One entry of an archive. Raises `BadRelease` when it is missing or not as it was built."""
    expected = inspect(path).files.get(name)
    try:
        with zipfile.ZipFile(path) as zipped:
            content = zipped.read(name)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise BadRelease(f"{path}: {name} cannot be read ({error}); build the archive again") from error
    if _sha256(content) != expected:
        raise BadRelease(f"{path}: {name} changed; build the archive again")
    return content


def _still_is(archive: Archive) -> bool:
    try:
        return verify(archive.path) == archive
    except BadRelease:
        return False


def _manifest(archive: Archive) -> bytes:
    described = {
        "createdOn": archive.created_at,
        "runtime": "python",
        "model": {
            "modelName": archive.model,
            "modelVersion": archive.release,
            "handler": f"{archive.model}.py",
            "configFile": CONFIG_FILE,
        },
        "archiverVersion": "0.12.0",
        # TorchServe ignores what it does not know.
        "banquet": {"release": archive.release, "files": dict(archive.files)},
    }
    return json.dumps(described, indent=2, sort_keys=True).encode()


def _put(zipped: zipfile.ZipFile, name: str, source: Path | bytes) -> None:
    entry = zipfile.ZipInfo(name, _FIXED_TIME)
    entry.external_attr = _FILE_MODE
    entry.create_system = _UNIX
    if isinstance(source, bytes):
        zipped.writestr(entry, source)
        return
    entry.file_size = source.stat().st_size
    with source.open("rb") as reader, zipped.open(entry, "w") as writer:
        shutil.copyfileobj(reader, writer)


def _sha256(source: Path | bytes) -> str:
    return hashlib.sha256(source).hexdigest() if isinstance(source, bytes) else sha256_of(source)


def _sha256_inside(zipped: zipfile.ZipFile, name: str) -> str:
    digest = hashlib.sha256()
    with zipped.open(name) as entry:
        for piece in iter(partial(entry.read, _PIECE_BYTES), b""):
            digest.update(piece)
    return digest.hexdigest()
