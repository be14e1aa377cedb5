"""What the catalogue builder asks of an online store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from banquet.core.errors import BadSettings
from banquet.features.catalogue.item_columns import ItemTable
from banquet.features.project.repo import RedisStore, SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from banquet.features.project.layout import Layout
    from banquet.features.project.repo import FeatureRepo


@dataclass(frozen=True, slots=True)
class Changes:
    """What was written since the last question: the items known to be touched, and whether others may have been, too.

    All that was written until `as_of_s` (unix seconds) is among what was told by now.
    """

    items: frozenset[str] = frozenset()
    others: bool = False
    as_of_s: float = 0.0


class ItemStore(Protocol):
    """The items of an online store. Every question raises `StageFailed` when the store does not answer."""

    def changes(self, layout: Layout, told: int = 0) -> Changes:
        """What anyone has written since this was asked last; everything, the first time.

        `told`: how many commits the writers of Banquet told of since.
        """
        ...

    def scan(self, layout: Layout, table: ItemTable) -> Iterator[None]:
        """Put every item into an empty table, a few thousand at each step."""
        ...

    def read(self, layout: Layout, table: ItemTable, item_ids: Sequence[str], views: Sequence[str]) -> None:
        """Bring the rows of some items up to date, in some views; all of one moment."""
        ...

    def close(self) -> None: ...


def scanned(store: ItemStore, layout: Layout) -> ItemTable:
    """Every item of a store. Raises `StageFailed` when it cannot be read."""
    table = ItemTable(layout)
    for _ in store.scan(layout, table):
        continue
    return table


def open_items(repo: FeatureRepo) -> ItemStore:
    """The items of the repo's store. Raises `BadSettings` for stores that cannot be scanned."""
    # Imported here: redis is an extra.
    match repo.store:
        case SqliteStore(file):
            from banquet.features.catalogue.scan_sqlite import SqliteItems  # noqa: PLC0415

            return SqliteItems(file)
        case RedisStore(options):
            from banquet.features.catalogue.scan_redis import RedisItems  # noqa: PLC0415

            return RedisItems(options)
        case other:
            raise BadSettings(
                f"{repo.yaml}: the catalogue can be built from the online stores sqlite and redis, not {other.type}"
            )
