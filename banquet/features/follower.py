"""The gateway's side of the catalogue: follows the folder that the builder publishes into."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from banquet.core.catalogue import Catalogue
from banquet.wire.catalogue_file import POINTER, BadCatalogue, read_catalogue, read_pointer

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

POLL_S = 0.2
KEPT = 2


class CatalogueFollower:
    """Holds the version in force and the one before it. A thread of its own looks, maps and prepares; a swap is one assignment.

    A version that cannot be read is logged once and tried again; the last good one stays, and grows older.
    """

    def __init__(self, folder: Path, poll_s: float = POLL_S) -> None:
        self._folder = folder
        self._poll_s = poll_s
        self._held: tuple[Catalogue, ...] = ()
        self._looked_at: tuple[int, int] | None = None
        self._trouble = ""
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="catalogue-follower", daemon=True)

    def start(self) -> None:
        """Begin to follow; a version that is already there is held when this returns."""
        self._look()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def current(self) -> Catalogue | None:
        """The version in force, or None before the first."""
        return self._held[0] if self._held else None

    def version(self, version: str) -> Catalogue | None:
        """One of the versions held, or None."""
        return next((held for held in self._held if held.version == version), None)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the first version; False when there was none in time."""
        return self._ready.wait(timeout_s)

    def _follow(self) -> None:
        while not self._stop.wait(self._poll_s):
            self._look()

    def _look(self) -> None:
        try:
            state = (self._folder / POINTER).stat()
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("the catalogue's pointer cannot be read: %s", error)
            return
        seen = (state.st_mtime_ns, state.st_ino)
        if seen == self._looked_at:
            return
        try:
            self._take()
        except (BadCatalogue, OSError) as error:
            if str(error) != self._trouble:
                log.warning("the catalogue in force cannot be read: %s", error)
            self._trouble = str(error)
            return
        self._looked_at, self._trouble = seen, ""

    def _take(self) -> None:
        pointer = read_pointer(self._folder)
        if pointer is None:
            return
        if self._held and self._held[0].version == pointer.version:
            self._held = (self._held[0].confirmed(pointer.confirmed_at_s), *self._held[1:])
            return
        fresh = Catalogue(read_catalogue(self._folder, pointer.version), pointer.confirmed_at_s)
        # Makes the look-up by id here, so that no query has to.
        fresh.rows_of(fresh.item_ids[:1])
        self._held = (fresh, *self._held)[:KEPT]
        self._ready.set()
