"""The catalogue versions that lie beside the models: the one in force is followed, the last two stay."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from banquet.wire.catalogue_file import BadCatalogue, CatalogueReader, catalogue_path, read_pointer
from banquet.wire.nice import be_nice
from banquet.wire.schema import SchemaMismatch
from handlers.job import JobRefused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from banquet.wire.catalogue_file import CatalogueFile
    from handlers.items import ResidentItems

log = logging.getLogger(__name__)

FOLLOW_EVERY_S = 0.25
# A job waits so long for a version that is being loaded, if it holds up nobody: a worker does one job at a time, and TorchServe
# kills one whose answer takes seconds.
LOAD_WAIT_S = 1.0
RETRY_AFTER_S = 1.0
KEPT = 2
# Versions that jobs asked for a moment ago stay beyond that, up to so many.
MOST_KEPT = 4
IN_USE_S = 2.0


class ResidentCatalogues:
    """Follows a catalogue folder in the background and loads what is asked for.

    Readers take what is there without a lock: `_held` is replaced, never changed. One thread loads, one version at a time.
    """

    def __init__(self, folder: Path, encode: Callable[[CatalogueFile, ResidentItems | None], ResidentItems]) -> None:
        """`encode` makes a version resident, from the one before where there is one."""
        self._folder = folder
        self._encode = encode
        self._reader = CatalogueReader(folder)
        self._asked_at_s: dict[str, float] = {}
        self._held: dict[str, ResidentItems] = {}
        self._in_force = ""
        self._trouble = ""
        # Loads under way, and those that failed a moment ago with the time they were asked for.
        self._loads: dict[str, tuple[float, Future[ResidentItems]]] = {}
        self._lock = Lock()
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="catalogue-loader", initializer=be_nice)
        self._stopped = Event()
        self._follower = Thread(target=self._follow, name="catalogue-follower", daemon=True)

    def start(self) -> None:
        """Load the version in force, if there is one, then follow it."""
        self._catch_up()
        self._follower.start()

    def stop(self) -> None:
        self._stopped.set()
        self._follower.join()
        self._loader.shutdown()

    def versions(self) -> list[str]:
        """Resident now, in the order they came."""
        return list(self._held)

    def get(self, version: str) -> ResidentItems:
        """Raises `JobRefused`: `stale_catalogue` when there is no such file (yet), `schema_mismatch` when it does not fit."""
        items = self._held.get(version)
        self._asked_at_s[version] = time.monotonic()
        if items is not None:
            return items
        try:
            if not catalogue_path(self._folder, version).is_file():
                raise JobRefused("stale_catalogue", f"there is no catalogue {version} in {self._folder}")
            return self._load_soon(version).result(0.0 if self._serves_another(version) else LOAD_WAIT_S)
        except BadCatalogue as error:
            raise JobRefused("stale_catalogue", str(error)) from error
        except TimeoutError as error:
            raise JobRefused("stale_catalogue", f"catalogue {version} is still being loaded") from error

    def _serves_another(self, version: str) -> bool:
        """Whether jobs for a version that is resident came a moment ago: they would have to wait, too."""
        since_s = time.monotonic() - IN_USE_S
        return any(self._asked_at_s.get(held, 0.0) > since_s for held in self._held if held != version)

    def _follow(self) -> None:
        while not self._stopped.wait(FOLLOW_EVERY_S):
            self._catch_up()

    def _catch_up(self) -> None:
        try:
            pointer = read_pointer(self._folder)
            if pointer is not None and pointer.version != self._in_force:
                self._load_soon(pointer.version).result()
                self._in_force = pointer.version
        except Exception as error:  # without its follower a worker would go stale and say nothing
            # Once: the follower meets the same trouble four times a second.
            if repr(error) != self._trouble:
                log.warning("the catalogue in force cannot be used; trying again", exc_info=error)
            self._trouble = repr(error)

    def _load_soon(self, version: str) -> Future[ResidentItems]:
        now_s = time.monotonic()
        with self._lock:
            if version in self._held:
                loaded: Future[ResidentItems] = Future()
                loaded.set_result(self._held[version])
                return loaded
            asked_at_s, load = self._loads.get(version, (now_s, None))
            if load is None or (load.done() and now_s - asked_at_s > RETRY_AFTER_S):
                load = self._loader.submit(self._load, version)
                self._loads[version] = (now_s, load)
            return load

    def _load(self, version: str) -> ResidentItems:
        began_s = time.perf_counter()
        try:
            before = next(reversed(self._held.values()), None)
            items = self._encode(self._reader.read(version), before)
        except BadCatalogue as error:
            raise JobRefused("stale_catalogue", str(error)) from error
        except SchemaMismatch as error:
            raise JobRefused("schema_mismatch", f"catalogue {version}: {error}") from error
        with self._lock:
            del self._loads[version]
            self._held = self._with(version, items)
        took_s = time.perf_counter() - began_s
        log.info("catalogue %s is resident: %d of %d items encoded in %.2f s", version, items.encoded, len(items), took_s)
        return items

    def _with(self, version: str, items: ResidentItems) -> dict[str, ResidentItems]:
        """The last `KEPT`, the one in force among them, and those in use."""
        held = {**self._held, version: items}
        used_since_s = time.monotonic() - IN_USE_S
        others = [old for old in held if old not in (version, self._in_force)]
        idle = [old for old in others if self._asked_at_s.get(old, 0.0) < used_since_s]
        spare = others[: max(0, len(held) - MOST_KEPT)] + idle
        for old in list(dict.fromkeys(spare))[: max(0, len(held) - KEPT)]:
            del held[old]
        self._asked_at_s = {known: at_s for known, at_s in self._asked_at_s.copy().items() if known in held}
        return held
