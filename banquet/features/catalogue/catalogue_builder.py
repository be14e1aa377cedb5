"""Builds the catalogue from the online store, so that it says what Feast would say, and keeps it so."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from banquet.core.errors import StageFailed
from banquet.features.catalogue.item_columns import ItemTable, item_views
from banquet.wire.catalogue_file import BadCatalogue, Pointer, drop_damaged, is_published, point_to, read_pointer
from banquet.wire.changed_items import ChangedItems

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from banquet.features.catalogue.item_store import ItemStore
    from banquet.features.project.layout import Layout
    from banquet.features.project.registry_states import RegistryStates

log = logging.getLogger(__name__)

CONFIRM_EVERY_S = 0.25
# How long one `refresh` may go on with a scan before it looks for pushes again.
SCAN_SLICE_S = 0.15
# A scan that took long is not begun again before it rested so many times as long: writers who never stop cost a quarter core.
REST = 3.0
SHORT_SCAN_S = 0.1
# More touched items than this share are read by a scan.
MANY = 0.2
FEW = 1000
# A materialization that wrote nothing for so long has died or has not begun.
MATERIALIZING_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Built:
    """A new version: of how many items and columns, how long reading and publishing took, and how many items were read."""

    version: str
    items: int
    columns: int
    scan_ms: float
    publish_ms: float
    read: int


@dataclass
class _Scan:
    """A scan under way: of the store as it was at `at_s` (unix seconds) or later; `touched` must be read again afterwards."""

    table: ItemTable
    steps: Iterator[None]
    at_s: float
    took_s: float = 0.0
    touched: set[str] = field(default_factory=set)


class CatalogueBuilder:
    """Keeps the catalogue of a folder equal to the online store, one `refresh` at a time.

    What is known to have changed is read by itself; a scan finds the rest. While Feast materializes a view, that view stays as it
    was, and the catalogue grows older.
    """

    def __init__(self, store: ItemStore, folder: Path, states: RegistryStates | None = None) -> None:
        self._store = store
        self._folder = folder
        self._states = states
        self._pushed = ChangedItems(folder)
        self._pushed_to = self._pushed.end()
        self._layout: Layout | None = None
        self._table: ItemTable | None = None
        self._scan: _Scan | None = None
        self._owed = True
        self._touched: set[str] = set()
        self._version = ""
        self._confirmed_at_s = 0.0
        self._as_of_s = 0.0
        self._written_at_s = time.monotonic()
        self._rested_at_s = 0.0

    def refresh(self, layout: Layout) -> Built | None:
        """Bring the catalogue nearer to the store; a new version if there is one by now. Raises `StageFailed`."""
        now_s = time.time()
        self._follow(layout)
        self._look(layout)
        frozen = self._materializing()
        built = None
        if self._table is not None:
            built = self._patch(layout, frozen)
        if frozen:
            # What is half written is not looked at; all of it is once it is done.
            self._scan, self._owed = None, True
        elif self._owed and self._scan is None and (self._table is None or time.monotonic() >= self._rested_at_s):
            self._begin(layout, now_s)
        if self._scan is not None and self._advance(layout):
            if not self._materializing():
                return self._finish(layout)
            self._scan, self._owed = None, True
        if built is None and not (frozen or self._owed or self._scan or self._touched):
            self._confirm()
        return built

    def build(self, layout: Layout) -> Built:
        """Scan the store and publish what it holds. Raises `StageFailed`; what was published before then stays in force."""
        self._follow(layout)
        self._look(layout)
        self._begin(layout, time.time())
        while not self._advance(layout):
            pass
        return self._finish(layout)

    def _follow(self, layout: Layout) -> None:
        """Another shape of the views means reading everything again; until that is done the old version stays."""
        if self._layout is None and (damaged := drop_damaged(self._folder)):
            log.warning("%s in %s had been damaged; dropped", ", ".join(damaged), self._folder)
        if self._layout is None or item_views(layout) != item_views(self._layout) or layout.project != self._layout.project:
            self._table, self._scan, self._owed = None, None, True
        self._layout = layout

    def _look(self, layout: Layout) -> None:
        """Learn what was written."""
        # First the hook: what is in it was written before, so the read that follows sees it.
        taken = self._pushed.take(self._pushed_to)
        changes = self._store.changes(layout, taken.commits)
        self._pushed_to, self._as_of_s = taken.offset, changes.as_of_s
        touched = taken.items | changes.items
        if touched or changes.others:
            self._written_at_s = time.monotonic()
        self._touched |= touched
        if self._scan is not None:
            self._scan.touched |= touched
        self._owed |= changes.others or taken.lost
        if self._table is not None and len(self._touched) > max(FEW, MANY * len(self._table)):
            self._owed = True

    def _materializing(self) -> frozenset[str]:
        if self._states is None or self._layout is None:
            return frozenset()
        frozen = self._states.materializing() & {view.name for view in item_views(self._layout)}
        if frozen and time.monotonic() - self._written_at_s > MATERIALIZING_PATIENCE_S:
            return frozenset()
        return frozen

    def _begin(self, layout: Layout, now_s: float) -> None:
        table = ItemTable(layout)
        self._scan = _Scan(table, self._store.scan(layout, table), now_s)
        self._owed = False

    def _advance(self, layout: Layout) -> bool:
        """Go on with the scan for a while; whether it is done. The very first one is done in one go."""
        scan = self._scan
        assert scan is not None, "asked only while there is one"
        began_s = time.monotonic()
        try:
            for _ in scan.steps:
                if self._table is not None and time.monotonic() - began_s > SCAN_SLICE_S:
                    return False
            if scan.touched:
                self._store.read(layout, scan.table, sorted(scan.touched), list(scan.table.views))
        except StageFailed:
            self._scan, self._owed = None, True
            raise
        finally:
            scan.took_s += time.monotonic() - began_s
        return True

    def _finish(self, layout: Layout) -> Built:
        """Publish what the scan found.

        A store without items is no news: it is about to be filled, or being replaced.
        """
        scan, self._scan = self._scan, None
        assert scan is not None, "asked only after one"
        if scan.took_s > SHORT_SCAN_S:
            self._rested_at_s = time.monotonic() + REST * scan.took_s
        if not len(scan.table):
            self._owed = True
            first = item_views(layout)[0].name
            raise StageFailed("unavailable", f"the online store holds no items; materialize {first}")
        self._table = scan.table
        return self._publish(scan.at_s, scan.took_s, len(scan.table))

    def _patch(self, layout: Layout, frozen: frozenset[str]) -> Built | None:
        """Read what was touched, and publish when that made a difference."""
        assert self._table is not None, "asked only with one"
        began_s = time.monotonic()
        touched, self._touched = self._touched, set()
        if touched and len(touched) <= max(FEW, MANY * len(self._table)):
            try:
                self._store.read(layout, self._table, sorted(touched), [name for name in self._table.views if name not in frozen])
            except StageFailed:
                self._touched |= touched
                raise
        if not self._is_in_force():
            self._table.forget_parts()
        elif not self._table.is_changed():
            return None
        at_s = self._confirmed_at_s if self._owed or self._scan or frozen else self._as_of_s
        return self._publish(at_s, time.monotonic() - began_s, len(touched))

    def _publish(self, at_s: float, took_s: float, read: int) -> Built:
        assert self._table is not None, "asked only with one"
        began_s = time.monotonic()
        before = self._version
        self._version = self._table.publish(self._folder, at_s)
        self._confirmed_at_s = at_s
        publish_ms = (time.monotonic() - began_s) * 1e3
        columns = sum(len(view.columns) for view in self._table.views.values())
        log.debug("catalogue %s after %s: %d items read", self._version, before or "none", read)
        return Built(self._version, len(self._table), columns, took_s * 1e3, publish_ms, read)

    def _confirm(self) -> None:
        if self._version and self._as_of_s - self._confirmed_at_s >= CONFIRM_EVERY_S:
            point_to(self._folder, Pointer(self._version, self._as_of_s), durable=False)
            self._confirmed_at_s = self._as_of_s

    def _is_in_force(self) -> bool:
        """Whether what was built last is still published: someone may have cleared the folder."""
        try:
            pointer = read_pointer(self._folder)
        except BadCatalogue:
            return False
        return pointer is not None and pointer.version == self._version and is_published(self._folder, self._version)
