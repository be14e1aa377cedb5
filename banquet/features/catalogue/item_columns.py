"""Every item of the online store as columns in the builder's memory, patched row by row and published part by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from banquet.features.catalogue.table_columns import column_for, grown
from banquet.wire.catalogue_file import Contents, column_part, ids_part, publish, view_part
from banquet.wire.columns import Column, Strings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from banquet.features.catalogue.table_columns import TableColumn
    from banquet.features.project.layout import Layout, View

    Rows = NDArray[np.int64]

PRESENT, NOT_FOUND = 1, 3  # Feast's FieldStatus


@dataclass(frozen=True, slots=True)
class ItemColumns:
    """Every item: sorted `ids`, `columns` by feature, `statuses` and `event_times_us` by view."""

    ids: list[str]
    columns: dict[str, Column]
    statuses: dict[str, NDArray[np.uint8]]
    event_times_us: dict[str, NDArray[np.int64]]


def item_views(layout: Layout) -> tuple[View, ...]:
    """The views a catalogue is made of: those that lie in the store under an item's id alone."""
    return tuple(view for view in layout.items if not view.computed and len(view.join_keys) == 1)


class ItemTable:
    """Rows are of any item that any view ever had; an item of the catalogue is what the first view has.

    Features of types that models cannot take are left out.
    """

    def __init__(self, layout: Layout) -> None:
        self.views = {view.name: ViewTable(view) for view in item_views(layout)}
        self._first = next(iter(self.views.values()))
        self._row_of: dict[str, int] = {}
        self._order: Rows = np.empty(0, np.int64)
        self._parts: dict[str, str] = {}
        self._membership = -1

    def rows_of(self, item_ids: Sequence[str]) -> Rows:
        """The row of each item, new ones for items not met before."""
        row_of = self._row_of
        rows = np.fromiter((row_of.setdefault(item, len(row_of)) for item in item_ids), np.int64, len(item_ids))
        for view in self.views.values():
            view.grow(len(row_of))
        return rows

    def __len__(self) -> int:
        """How many items there are."""
        return self._first.present

    def columns(self) -> ItemColumns:
        """Everything, in the order of the ids."""
        self._sort()
        return ItemColumns(
            self._ids(),
            {
                view.view.column(name): column.taken(self._order)
                for view in self.views.values()
                for name, column in view.columns.items()
            },
            {name: view.statuses(self._order) for name, view in self.views.items()},
            {name: view.times_us[self._order] for name, view in self.views.items()},
        )

    def publish(self, folder: Path, confirmed_at_s: float) -> str:
        """Put what the table holds in force, writing only the parts that changed since it last did; the version."""
        if self._sort():
            self._parts.clear()
        if "ids" not in self._parts:
            self._parts["ids"] = ids_part(folder, Strings.of(self._ids()))
        columns, views = {}, {}
        for name, view in self.views.items():
            for feature, column in view.columns.items():
                key = f"{name}:{feature}"
                if key not in self._parts or feature in view.changed:
                    self._parts[key] = column_part(folder, column.taken(self._order))
                columns[view.view.column(feature)] = (column.kind, name, self._parts[key])
            if name not in self._parts or view.times_changed:
                self._parts[name] = view_part(folder, view.statuses(self._order), view.times_us[self._order])
            views[name] = self._parts[name]
            view.changed, view.times_changed = set(), False
        return publish(folder, Contents(len(self._order), self._parts["ids"], columns, views), confirmed_at_s)

    def is_changed(self) -> bool:
        """Whether anything changed since the table was last published."""
        views = self.views.values()
        return self._membership != self._first.membership or any(view.changed or view.times_changed for view in views)

    def forget_parts(self) -> None:
        """Write everything next time: someone cleared the folder."""
        self._parts.clear()

    def _ids(self) -> list[str]:
        ids = list(self._row_of)
        return [ids[row] for row in self._order.tolist()]

    def _sort(self) -> bool:
        """Bring the order up to date; whether it is another one."""
        if self._membership == self._first.membership:
            return False
        self._membership = self._first.membership
        ids = list(self._row_of)
        known = self._first.known[: len(ids)].copy()
        stayed = self._order[known[self._order]]
        known[stayed] = False
        # Mostly in order already, which a sort makes use of.
        members = [*stayed.tolist(), *np.flatnonzero(known).tolist()]
        self._order = np.array(sorted(members, key=ids.__getitem__), np.int64)
        return True


class ViewTable:
    """One view's columns, event times and which rows it has. `membership` changes with the latter."""

    def __init__(self, view: View) -> None:
        self.view = view
        made = {name: column_for(type_name, view.name) for name, type_name in view.served.items()}
        self.columns: dict[str, TableColumn] = {name: column for name, column in made.items() if column is not None}
        self.known = np.empty(0, np.bool_)
        self.times_us = np.empty(0, np.int64)
        self.membership = 0
        self.present = 0
        self.changed: set[str] = set()
        self.times_changed = False

    def grow(self, rows: int) -> None:
        self.known = grown(self.known, rows, fill=False)
        self.times_us = grown(self.times_us, rows, 0)
        for column in self.columns.values():
            column.grow(rows)

    def put(self, rows: Rows, cells: Mapping[str, Sequence[bytes | None]], times_us: Sequence[int | None]) -> None:
        """Whole rows: serialized values by feature, None where nothing is stored; a time of None says the view lacks the item."""
        known = np.fromiter((time is not None for time in times_us), np.bool_, len(times_us))
        times = np.fromiter((time or 0 for time in times_us), np.int64, len(times_us))
        joined_or_left = known != self.known[rows]
        if joined_or_left.any():
            self.membership += 1
            self.present += int(known.sum()) - int(self.known[rows].sum())
        if joined_or_left.any() or (times != self.times_us[rows]).any():
            self.times_changed = True
            self.known[rows], self.times_us[rows] = known, times
        for name, column in self.columns.items():
            if column.put(rows, cells[name]):
                self.changed.add(name)

    def statuses(self, rows: Rows) -> NDArray[np.uint8]:
        return np.where(self.known[rows], np.uint8(PRESENT), np.uint8(NOT_FOUND))


def columns_of(table: ItemTable) -> ItemColumns:
    """Every item, in the order of the ids."""
    return table.columns()
