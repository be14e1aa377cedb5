"""The gateway's side of the catalogue: follows the folder that the builder publishes into."""

from __future__ import annotations

import logging
import math
import threading
from typing import TYPE_CHECKING

from banquet.core.catalogue import Catalogue
from banquet.wire.catalogue_file import POINTER, BadCatalogue, CatalogueReader, read_pointer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

POLL_S = 0.1
KEPT = 2


class CatalogueFollower:
    """Holds the version in force and the one before it. A thread of its own looks, maps and prepares; a swap is one assignment.

    `prepare` makes, beside the event loop, what stages derive from a version. With a `gate`, a new version waits as `candidate`
    until it is admitted; the first one does not wait. A version that cannot be read is logged once and tried again; the last good
    one stays, and grows older. `fresh_s`: see `Catalogue.is_stale`.
    """

    def __init__(
        self,
        folder: Path,
        poll_s: float = POLL_S,
        *,
        prepare: Sequence[Callable[[Catalogue], object]] = (),
        gate: bool = False,
        fresh_s: float = math.inf,
    ) -> None:
        self.folder = folder
        self._poll_s = poll_s
        self._prepare = prepare
        self._gate = gate
        self._fresh_s = fresh_s
        self._reader = CatalogueReader(folder)
        self._held: tuple[Catalogue, ...] = ()
        self._newest: Catalogue | None = None
        self._looked_at: tuple[int, int] | None = None
        self._trouble = ""
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._swap = threading.Lock()
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

    def candidate(self) -> Catalogue | None:
        """The newest version, when it is not in force yet."""
        newest, current = self._newest, self.current()
        return newest if newest is not None and current is not None and newest.version != current.version else None

    def admit(self, version: Catalogue) -> None:
        """Put a candidate in force, though it may not be the newest any more."""
        with self._swap:
            newest = self._newest
            # It may have been confirmed since.
            fresh = newest if newest is not None and newest.version == version.version else version
            self._held = (fresh, *self._held)[:KEPT]

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
            state = (self.folder / POINTER).stat()
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
        except Exception as error:
            # Without this thread, what was held would be served for ever.
            if repr(error) != self._trouble:
                log.exception("the catalogue in force cannot be prepared; the one before stays")
            self._trouble = repr(error)
            return
        self._looked_at, self._trouble = seen, ""

    def _take(self) -> None:
        pointer = read_pointer(self.folder)
        if pointer is None:
            return
        known = self._newest
        if known is not None and known.version == pointer.version:
            with self._swap:
                self._newest = known.confirmed(pointer.confirmed_at_s)
                if self._held[0].version == pointer.version:
                    self._held = (self._newest, *self._held[1:])
            return
        fresh = Catalogue(self._reader.read(pointer.version), pointer.confirmed_at_s, self._fresh_s)
        if known is not None:
            fresh.following(known)
        for derive in self._prepare:
            derive(fresh)
        self._newest = fresh
        if not self._gate or not self._held:
            self.admit(fresh)
        self._ready.set()
