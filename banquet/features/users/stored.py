"""Users from any online store: keys, one read, rows, and what on-demand views make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from banquet.features.stores.cells import NOTHING
from banquet.features.users.rows import UserRows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from banquet.core.errors import StageFailed
    from banquet.core.query import UserFeatures
    from banquet.features.project.layout import LayoutFile
    from banquet.features.stores.cells import CellStore, StoredRow
    from banquet.features.users.computed import ComputedUsers
    from banquet.features.users.joined import Ask
    from banquet.features.users.rows import Mode


class StoredUsers:
    """A `UserStore` on a `CellStore`. `open_computed` makes what runs on-demand views, where the layout has any."""

    def __init__(
        self,
        store: CellStore,
        layout: LayoutFile,
        mode: Mode = "feast",
        defaults: Mapping[str, str] | None = None,
        open_computed: Callable[[], ComputedUsers] | None = None,
    ) -> None:
        self._store = store
        self._layout = layout
        self._mode: Mode = mode
        self._defaults = defaults
        self._open_computed = open_computed
        self._computed: ComputedUsers | None = None
        self._rows: UserRows | None = None

    async def fetch(self, asks: Sequence[Ask]) -> list[UserFeatures | StageFailed]:
        rows = self._shape()
        stored = await self._stored(rows, asks)
        users = [rows.row(ask, its) for ask, its in zip(asks, stored, strict=True)]
        if not rows.computed:
            return users
        if self._computed is None:
            assert self._open_computed is not None, "whoever opens a store for a layout with on-demand views says how"
            self._computed = self._open_computed()
        return await self._computed.complete(rows, asks, stored, users)

    async def aclose(self) -> None:
        if self._computed is not None:
            self._computed.close()
        await self._store.aclose()

    async def _stored(self, rows: UserRows, asks: Sequence[Ask]) -> list[list[StoredRow | StageFailed]]:
        """For each user a row per source."""
        keys = rows.keys(asks)
        known = [[key for key in its if key is not None] for its in keys]
        answers = await self._store.fetch(rows.layout.project, [source.part for source in rows.sources], known)
        columns = []
        for its, answer in zip(keys, answers, strict=True):
            rest = iter(answer)
            columns.append([NOTHING if key is None else next(rest) for key in its])
        return [list(parts) for parts in zip(*columns, strict=True)]

    def _shape(self) -> UserRows:
        layout = self._layout.current()
        if self._rows is None or self._rows.layout is not layout:
            self._rows = UserRows(layout, self._mode, self._defaults)
        return self._rows
