"""Builds the catalogue from the online store, so that it says what Feast would say."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from banquet.core.errors import BadSettings, StageFailed
from banquet.features.item_columns import columns_of
from banquet.features.repo import RedisStore, SqliteStore
from banquet.wire.catalogue_file import BadCatalogue, Pointer, point_to, read_pointer, write_catalogue

if TYPE_CHECKING:
    from pathlib import Path

    from banquet.features.item_columns import ScannedView
    from banquet.features.layout import Layout
    from banquet.features.repo import FeatureRepo

log = logging.getLogger(__name__)

CONFIRM_EVERY_S = 1.0


class ItemStore(Protocol):
    """The items of an online store. Both questions raise `StageFailed` when the store does not answer."""

    def state(self) -> object:
        """Differs from an earlier one when anyone has written since."""
        ...

    def scan(self, layout: Layout) -> list[ScannedView]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Built:
    """A build: which version it gave, of how many items and columns, and how long scanning and publishing took."""

    version: str
    items: int
    columns: int
    scan_ms: float
    publish_ms: float


def open_items(repo: FeatureRepo) -> ItemStore:
    """The items of the repo's store. Raises `BadSettings` for stores that cannot be scanned."""
    # Imported here: redis is an extra.
    match repo.store:
        case SqliteStore(file):
            from banquet.features.scan_sqlite import SqliteItems  # noqa: PLC0415

            return SqliteItems(file)
        case RedisStore(options):
            from banquet.features.scan_redis import RedisItems  # noqa: PLC0415

            return RedisItems(options)
        case other:
            raise BadSettings(
                f"{repo.yaml}: the catalogue can be built from the online stores sqlite and redis, not {other.type}"
            )


class CatalogueBuilder:
    """Keeps the catalogue of a folder equal to the online store, one `refresh` at a time."""

    def __init__(self, store: ItemStore, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._seen: tuple[object, Layout] | None = None
        self._version = ""
        self._confirmed_at_s = 0.0

    def refresh(self, layout: Layout) -> Built | None:
        """Build when the store or the layout changed, otherwise confirm the version in force. Raises `StageFailed`."""
        now_s = time.time()
        seen = (self._store.state(), layout)
        if seen != self._seen or not self._is_in_force():
            built = self.build(layout)
            self._seen = seen
            return built
        if now_s - self._confirmed_at_s >= CONFIRM_EVERY_S:
            point_to(self._folder, Pointer(self._version, now_s))
            self._confirmed_at_s = now_s
        return None

    def build(self, layout: Layout) -> Built:
        """Scan the store and publish what it holds. Raises `StageFailed`; what was published before then stays in force.

        A store without items is no news: it is about to be filled, or being replaced.
        """
        now_s = time.time()
        began_s = time.perf_counter()
        scanned = self._store.scan(layout)
        scanned_s = time.perf_counter()
        items = columns_of(scanned)
        if not items.ids:
            raise StageFailed("unavailable", "the online store holds no items; materialize item_profile")
        version = write_catalogue(
            self._folder,
            items.ids,
            items.columns,
            statuses=items.statuses,
            event_times_us=items.event_times_us,
            confirmed_at_s=now_s,
        )
        self._version, self._confirmed_at_s = version, now_s
        took_s = time.perf_counter() - scanned_s
        return Built(version, len(items.ids), len(items.columns), (scanned_s - began_s) * 1e3, took_s * 1e3)

    def _is_in_force(self) -> bool:
        """Whether what was built last is still published: someone may have cleared the folder."""
        try:
            pointer = read_pointer(self._folder)
        except BadCatalogue:
            return False
        return (
            pointer is not None and pointer.version == self._version and (self._folder / f"{self._version}.safetensors").is_file()
        )
