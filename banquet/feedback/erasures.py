"""Requests to forget people, as files that outlive crashes. A person is named in one only until the erasure is done."""

from __future__ import annotations

import fcntl
import json
import logging
import re
import time
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from banquet.core.erasure import ErasedPlace, Erasure
from banquet.core.errors import Overloaded
from banquet.wire.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

log = logging.getLogger(__name__)

_ID = re.compile(r"[0-9a-f]{32}")
PENDING, DONE = ".pending", ".done"
KEPT_S = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pending erasure and whom it is about."""

    user_id: str
    erasure: Erasure


class ErasureBook:
    """The requests in a folder, for any number of gateways that add to it and one process that carries them out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: TextIO | None = None

    def is_ours(self) -> bool:
        """Whether this process is the one to carry out the requests; from then on it is until it ends."""
        if self._lock is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = (self._folder / "lock").open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                return False
            self._lock = lock
        return True

    def request(self, user_id: str) -> Erasure:
        """Durable when this returns; the pending one when there is one. Raises `Overloaded` when the disk refuses."""
        try:
            pending = next((wanted.erasure for wanted in self.pending() if wanted.user_id == user_id), None)
            if pending is not None:
                return pending
            erasure = Erasure(uuid.uuid4().hex)
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write(erasure, user_id)
        except OSError as error:
            raise Overloaded(f"the request cannot be kept in {self._folder}: {error.strerror}; free space there") from error
        return erasure

    def find(self, erasure_id: str) -> Erasure | None:
        if not _ID.fullmatch(erasure_id):
            return None
        found = _read(self._path(erasure_id, DONE)) or _read(self._path(erasure_id, PENDING))
        return None if found is None else found.erasure

    def pending(self) -> Iterator[Wanted]:
        """Whom to forget, in the order they were asked for."""
        for path in sorted(self._folder.glob(f"*{PENDING}"), key=_written_s):
            found = _read(path)
            if found is not None:
                yield found

    def note(self, wanted: Wanted, erasure: Erasure) -> None:
        """Keep how far an erasure is; a done one no longer says of whom. Raises `OSError`."""
        self._write(erasure, "" if erasure.done else wanted.user_id)
        if erasure.done:
            self._path(erasure.erasure_id, PENDING).unlink(missing_ok=True)

    def drop_old(self) -> None:
        """Forget the done ones after a month."""
        for path in self._folder.glob(f"*{DONE}"):
            if _written_s(path) < time.time() - KEPT_S:
                path.unlink(missing_ok=True)

    def _path(self, erasure_id: str, suffix: str) -> Path:
        return self._folder / f"{erasure_id}{suffix}"

    def _write(self, erasure: Erasure, user_id: str) -> None:
        body = asdict(erasure) | ({"user_id": user_id} if user_id else {})
        path = self._path(erasure.erasure_id, DONE if erasure.done else PENDING)
        write_atomically(path, json.dumps(body, indent=1).encode())


def _read(path: Path) -> Wanted | None:
    try:
        body = json.loads(path.read_bytes())
        places = tuple(ErasedPlace(**place) for place in body["places"])
        erasure = Erasure(body["erasure_id"], body["done"], places, body["detail"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        log.error("%s: %s; ask again for whom it was about", path, error)  # noqa: TRY400 - nothing to trace in a damaged file
        return None
    return Wanted(body.get("user_id", ""), erasure)


def _written_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
