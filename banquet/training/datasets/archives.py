"""Unpacks a zip archive that may be anyone's: only into its folder, only so much."""

from __future__ import annotations

import lzma
import stat
import zipfile
import zlib
from typing import TYPE_CHECKING

from banquet.core.errors import BadData

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 2 << 30
CHUNK_BYTES = 1 << 20


def unzip(archive: Path, folder: Path, most_bytes: int = MOST_BYTES) -> None:
    """Raises `BadData` for what is no sound zip, leads out of the folder or unpacks to more than `most_bytes`."""
    try:
        with zipfile.ZipFile(archive) as file:
            left = most_bytes
            for member in file.infolist():
                left -= _unpack(file, member, archive, folder, left)
    except (zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, NotImplementedError) as error:
        raise BadData(f"{archive}: not a sound zip archive ({error}); download it again") from error
    except RuntimeError as error:  # as zipfile says that a password is needed
        raise BadData(f"{archive}: cannot be unpacked ({error}); unpack it yourself and name the folder") from error
    except OSError as error:
        remedy = "download it again" if error.errno is None else "make room for it, or unpack it yourself and name the folder"
        raise BadData(f"{archive}: cannot be unpacked ({error}); {remedy}") from error


def _unpack(file: zipfile.ZipFile, member: zipfile.ZipInfo, archive: Path, folder: Path, most_bytes: int) -> int:
    target = (folder / member.filename).resolve()
    if not target.is_relative_to(folder.resolve()) or stat.S_ISLNK(member.external_attr >> 16):
        raise BadData(f"{archive}: member {member.filename!r} leads out of the archive; do not trust this file")
    if member.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with file.open(member) as source, target.open("wb") as out:
        while chunk := source.read(CHUNK_BYTES):  # counted here: the sizes an archive states are its own claim
            written += len(chunk)
            if written > most_bytes:
                raise BadData(f"{archive}: unpacks to more bytes than allowed; unpack it yourself and name the folder")
            out.write(chunk)
    return written
