"""Which items were written through Banquet: an append-only file beside the catalogue, from whoever writes to its builder.

Each line is one item id as JSON. A file that has grown large is begun anew; the offset of a reader holds the file's number.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE = "changed_items.jsonl"
LARGE_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a reader has read: of which file (its inode), and up to which byte."""

    file: int = 0
    byte: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """The items added since an offset, and the next one. `lost`: there were others which are no longer known."""

    items: frozenset[str]
    offset: Offset
    lost: bool = False


class ChangedItems:
    """The file of one catalogue folder, for any number of writers and readers."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE

    def add(self, item_ids: Iterable[str]) -> None:
        """Say that these items were written; call it after the write. Raises `OSError`."""
        body = "".join(json.dumps(item) + "\n" for item in item_ids).encode()
        if not body:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        while True:
            handle = os.open(self._file, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                if not self._is_in_place(handle):
                    continue
                if os.fstat(handle).st_size > LARGE_BYTES:
                    # Under the lock, so that no line goes into a file nobody reads any more.
                    self._file.unlink()
                    continue
                os.write(handle, body)
                return
            finally:
                os.close(handle)

    def end(self) -> Offset:
        """The offset from which on everything is new."""
        try:
            state = self._file.stat()
        except FileNotFoundError:
            return Offset()
        return Offset(state.st_ino, state.st_size)

    def take(self, offset: Offset) -> Taken:
        """Everything added since an offset."""
        try:
            with self._file.open("rb") as file:
                number = os.fstat(file.fileno()).st_ino
                same = number == offset.file and os.fstat(file.fileno()).st_size >= offset.byte
                file.seek(offset.byte if same else 0)
                body = file.read()
        except FileNotFoundError:
            return Taken(frozenset(), Offset(), lost=offset.file != 0)
        whole = body[: body.rfind(b"\n") + 1]
        begun = offset.byte if same else 0
        end = Offset(number, begun + len(whole))
        try:
            items = frozenset(str(json.loads(line)) for line in whole.splitlines())
        except ValueError:
            return Taken(frozenset(), end, lost=True)
        return Taken(items, end, lost=not same and offset.file != 0)

    def _is_in_place(self, handle: int) -> bool:
        try:
            return self._file.stat().st_ino == os.fstat(handle).st_ino
        except FileNotFoundError:
            return False
