"""Files that are either whole or absent, and known by their sha256."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write to a temporary neighbour, sync (when `durable`), rename: a reader sees the old content or the new, never a part.

    Raises `OSError` with the name of `path`, whatever the neighbour was called.
    """
    with temporary_neighbour(path) as file:
        file.write(content)
        file.flush()
        if durable:
            os.fsync(file.fileno())


@contextmanager
def temporary_neighbour(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` once it was written without an error, and is gone otherwise."""
    name = ""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(name).replace(path)
    except BaseException as error:
        if name:
            Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and (error.filename is None or str(error.filename).startswith(_neighbours(path))):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise


def _neighbours(path: Path) -> str:
    return str(path.parent / f".{path.name}.")


def sha256_of(path: Path) -> str:
    """Of a file's content, in hex; reads in pieces, so that size does not matter."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
