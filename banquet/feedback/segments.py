"""The files of the event log. Every process writes files of its own, so writers never wait for each other.

A live segment is locked by its writer and writable; a sealed one is read-only and will never grow again.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SEALED_MODE = 0o444
_LIVE_MODE = 0o644
_WRITABLE = 0o200
_PREFIX, _SUFFIX = "events-", ".log"
_TAIL_BYTES = 1 << 16


class Segment:
    """One file that this process appends to. Raises `OSError` when the disk refuses."""

    def __init__(self, folder: Path, writer: str, number: int) -> None:
        self._path = folder / f"{_PREFIX}{writer}-{number:06d}{_SUFFIX}"
        draft = folder / f".{self._path.name}"
        self._file = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, _LIVE_MODE)
        try:
            # Locked before it has its name: another process must not take it for an orphan and seal it.
            fcntl.flock(self._file, fcntl.LOCK_EX)
            draft.rename(self._path)
            _sync_folder(folder)
        except OSError:
            os.close(self._file)
            draft.unlink(missing_ok=True)
            raise
        self.size_bytes = 0

    def append(self, data: bytes) -> None:
        """Returns when the data is on the disk. After an error the segment must be sealed: what it holds is uncertain."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        os.fdatasync(self._file)
        self.size_bytes += len(data)

    def seal(self) -> None:
        """End the segment. A record cut short goes; whole ones stay, since a reader may have taken them already."""
        try:
            if os.fstat(self._file).st_size == 0:
                self._path.unlink()
            else:
                _cut_and_seal(self._file)
        finally:
            os.close(self._file)


def new_writer() -> str:
    """A name that no other process has."""
    return uuid.uuid4().hex[:12]


def segment_names(folder: Path) -> list[str]:
    """All segments, live and sealed."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX))


def is_sealed(found: os.stat_result) -> bool:
    return found.st_mode & _WRITABLE == 0


def seal_orphans(folder: Path) -> int:
    """Seal the segments of processes that died, and return how many bytes of torn records were cut off."""
    return sum(_seal_if_orphan(folder / name) for name in segment_names(folder))


def _seal_if_orphan(path: Path) -> int:
    try:
        if is_sealed(path.stat()):
            return 0
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):  # another process just sealed it
        return 0
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _cut_and_seal(file)
    except BlockingIOError:  # its writer lives
        return 0
    finally:
        os.close(file)


def _cut_and_seal(file: int) -> int:
    """Cut what follows the last newline and make the file read-only; returns the bytes cut."""
    size = keep = os.fstat(file).st_size
    while keep > 0:
        start = max(0, keep - _TAIL_BYTES)
        newline = os.pread(file, keep - start, start).rfind(b"\n")
        keep = start + newline + 1
        if newline >= 0:
            break
    if keep < size:
        os.ftruncate(file, keep)
        os.fsync(file)
    os.fchmod(file, _SEALED_MODE)
    return size - keep


def _sync_folder(folder: Path) -> None:
    """Make a new file's name survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
