"""Which items were written through Banquet: an append-only file beside the catalogue, from whoever writes to its builder.

The first line names the file, each other one is an item id or a number of commits, as JSON. A file that has grown large is
begun anew under another name.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE = "changed_items.jsonl"
LARGE_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a reader has read: of which file (its first line), and up to which byte."""

    file: str = ""
    byte: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """The items added since an offset, and the next one, with how many commits they (and others) were written in.

    `lost`: there were others which are no longer known.
    """

    items: frozenset[str]
    offset: Offset
    lost: bool = False
    commits: int = 0


class ChangedItems:
    """The file of one catalogue folder, for any number of writers and readers."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE

    def add(self, item_ids: Iterable[str], commits: int = 0) -> None:
        """Say, after the write, that these items were written, and in how many commits to the store. Raises `OSError`.

        Commits that wrote no items are worth telling, too: whatever was not told of has to be looked for.
        """
        lines = [*map(str, item_ids), *([commits] if commits else [])]
        body = "".join(json.dumps(line) + "\n" for line in lines).encode()
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
                named = b"" if os.fstat(handle).st_size else uuid.uuid4().hex.encode() + b"\n"
                os.write(handle, named + body)
                return
            finally:
                os.close(handle)

    def end(self) -> Offset:
        """The offset from which on everything is new."""
        return self.take(Offset()).offset

    def take(self, offset: Offset) -> Taken:
        """Everything added since an offset."""
        try:
            with self._file.open("rb") as file:
                name = file.readline()
                same = name.decode(errors="replace") == offset.file
                if same:
                    file.seek(offset.byte)
                begun = file.tell()
                body = file.read()
        except FileNotFoundError:
            return Taken(frozenset(), Offset(), lost=bool(offset.file))
        if not name.endswith(b"\n"):
            # It is just being begun.
            return Taken(frozenset(), offset)
        whole = body[: body.rfind(b"\n") + 1]
        end = Offset(name.decode(errors="replace"), begun + len(whole))
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
        except ValueError:
            return Taken(frozenset(), end, lost=True)
        items = frozenset(line for line in lines if isinstance(line, str))
        commits = sum(line for line in lines if isinstance(line, int))
        return Taken(items, end, bool(offset.file) and not same, commits)

    def _is_in_place(self, handle: int) -> bool:
        try:
            return self._file.stat().st_ino == os.fstat(handle).st_ino
        except FileNotFoundError:
            return False
