"""Any features of any entities of a Feast project, as `get_online_features` gives them, read without the SDK."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from banquet.core.errors import BadData, StageFailed
from banquet.features.online.plan import Plan, plan_of
from banquet.features.project.definitions import read_definitions
from banquet.features.stores.cells import NOTHING
from banquet.features.stores.encoding import BadValue, decode
from banquet.features.stores.entity_keys import EntityKeys
from banquet.features.stores.statuses import CODES, NOT_FOUND, OUTSIDE_MAX_AGE, PRESENT, outside_max_age
from banquet.features.users.opening import open_cells

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from banquet.features.online.on_demand import OnDemandViews
    from banquet.features.online.plan import Asked
    from banquet.features.project.definitions import Definitions
    from banquet.features.project.repo import FeatureRepo
    from banquet.features.stores.cells import CellStore, StoredRow
    from banquet.features.users.rows import Mode

    EntityRow: TypeAlias = Mapping[str, object]


@dataclass(frozen=True)
class OnlineColumn:
    """One feature of every entity asked for: serialized values (empty: null), Feast's status codes and event times.

    `times_us` are microseconds since 1970, 0 where there is none.
    """

    kind: str
    blobs: list[bytes]
    statuses: list[int]
    times_us: list[int]

    @cached_property
    def values(self) -> list[object]:
        """Plain Python values, None for nulls. Raises `BadValue`."""
        return [decode(blob) for blob in self.blobs]

    def ages_s(self, now_s: float) -> list[float]:
        """How old each value is; infinite where there is no time."""
        return [now_s - time_us / 1e6 if time_us else float("inf") for time_us in self.times_us]


class OnlineReader:
    """Reads by feature service or by references. `views` runs on-demand views, where any are asked for."""

    def __init__(self, definitions: Definitions, store: CellStore, views: OnDemandViews | None = None) -> None:
        self.definitions = definitions
        self._store = store
        self._views = views
        self._plans: dict[tuple[str, ...], Plan] = {}

    @classmethod
    def open(cls, repo: FeatureRepo, folder: Path) -> OnlineReader:
        """A reader by the definitions published in `folder`; Feast is imported where they have on-demand views.

        Raises `BadData` until there are some.
        """
        definitions = read_definitions(folder)
        views = None
        if definitions.computed:
            from banquet.features.online.on_demand import OnDemandViews  # noqa: PLC0415 - takes seconds

            views = OnDemandViews(repo)
        return cls(definitions, open_cells(repo), views)

    async def aclose(self) -> None:
        await self._store.aclose()

    async def read(
        self, features: str | Sequence[str], entity_rows: Sequence[EntityRow], mode: Mode = "feast", *, full_names: bool = False
    ) -> dict[str, OnlineColumn]:
        """Columns by feature name (`view__feature` with `full_names`), one cell per entity row, in their order.

        `features` is a service's name or references `view:feature`; entity rows hold join keys and request data by name. Mode
        `feast` answers as the SDK does, and `strict` says NOT_FOUND of what is not stored and OUTSIDE_MAX_AGE of what is older
        than its view's ttl (its value stays). Raises `BadData` for what is unknown, missing or ambiguous, and `StageFailed`.
        """
        plan = self._plan(features, mode)
        names = plan.names(full_names=full_names)
        keys = [_keys(asked, _names(asked, entity_rows, mode), entity_rows) for asked in plan.stored]
        rows = await self._store.fetch(self.definitions.project, [asked.part for asked in plan.stored], [its for its, _ in keys])
        columns: dict[tuple[str, str], OnlineColumn] = {}
        for asked, (_, places), its in zip(plan.stored, keys, rows, strict=True):
            good = [_good(row) for row in its]
            columns |= self._columns(asked, [good[place] for place in places], mode)
        if plan.computed:
            columns |= await self._computed(plan, columns, entity_rows, full_names=full_names)
        # Feast leaves out what a view in python mode computes under full names; so does whoever runs it by Feast's code.
        return {name: columns[cell] for name, cell in names.items() if cell in columns}

    def _plan(self, features: str | Sequence[str], mode: Mode) -> Plan:
        shape = (mode, "service", features) if isinstance(features, str) else (mode, "references", *features)
        if (plan := self._plans.get(shape)) is None:
            plan = self._plans[shape] = plan_of(self.definitions, features, as_sdk=mode == "feast")
        return plan

    def _columns(self, asked: Asked, rows: Sequence[StoredRow], mode: Mode) -> dict[tuple[str, str], OnlineColumn]:
        strict, view = mode == "strict", asked.part.view
        absent = CODES[PRESENT if self._store.absent_is_present and not strict else NOT_FOUND]
        now_s = time.time()
        times_us = [row[0] or 0 for row in rows]
        present = [
            CODES[OUTSIDE_MAX_AGE if strict and outside_max_age(time_us, view.ttl_s, now_s) else PRESENT] for time_us in times_us
        ]
        columns = {}
        for at, feature in enumerate(asked.part.features):
            cells = [row[1][at] if row is not NOTHING else None for row in rows]
            statuses = [absent if cell is None else code for cell, code in zip(cells, present, strict=True)]
            columns[asked.alias, feature] = OnlineColumn(
                view.features[feature], [cell or b"" for cell in cells], statuses, times_us
            )
        return columns

    async def _computed(
        self, plan: Plan, columns: Mapping[tuple[str, str], OnlineColumn], entity_rows: Sequence[EntityRow], *, full_names: bool
    ) -> dict[tuple[str, str], OnlineColumn]:
        if self._views is None:
            raise BadData("on-demand views are asked for; open this reader with an OnDemandViews")
        # Feast guesses the types of request data from the values.
        given = [*plan.keys.items(), *((name, "UNKNOWN") for name in plan.request)]
        typed = {name: (kind, [_given(row, name) for row in entity_rows]) for name, kind in given}
        inputs = {f"{alias}__{feature}" if full_names else feature: column.blobs for (alias, feature), column in columns.items()}
        made = await asyncio.to_thread(
            self._views.compute_typed, plan.computed, typed, inputs, plan.references, full_names=full_names
        )
        found = {}
        for projection in plan.computed:
            kinds = self.definitions.computed[projection.view].features
            for feature in projection.features:
                name = f"{projection.alias}__{feature}" if full_names else feature
                if name in made:
                    blobs = made[name]
                    found[projection.alias, feature] = OnlineColumn(
                        kinds[feature], blobs, [CODES[PRESENT]] * len(blobs), [0] * len(blobs)
                    )
        return found


def _names(asked: Asked, entity_rows: Sequence[EntityRow], mode: Mode) -> tuple[str, ...]:
    """Where to find the parts of a key in an entity row.

    Where a row has a mapped join key under both names, the SDK takes what comes last (Feast 0.67); so does mode `feast`.
    """
    if mode == "strict" or not entity_rows:
        return asked.asked
    order = list(entity_rows[0])
    pairs = zip(asked.part.view.join_keys, asked.asked, strict=True)
    return tuple(own if own in order and name in order and order.index(own) > order.index(name) else name for own, name in pairs)


def _keys(asked: Asked, names: Sequence[str], entity_rows: Sequence[EntityRow]) -> tuple[list[bytes], list[int]]:
    """Each entity key once, and for each row the place of its key."""
    keys = EntityKeys(asked.part.view.join_keys, asked.part.view.key_types)
    places: dict[bytes, int] = {}
    try:
        of_rows = [places.setdefault(keys.encode([_given(row, name) for name in names]), len(places)) for row in entity_rows]
    except BadValue as error:
        raise BadData(f"an entity row for view {asked.alias!r}: {error}") from error
    return list(places), of_rows


def _given(row: EntityRow, name: str) -> object:
    if name == ENTITYLESS:
        return ""
    if name not in row:
        raise BadData(f"an entity row has no {name!r}; it has: {', '.join(row)}")
    return row[name]


def _good(row: StoredRow | StageFailed) -> StoredRow:
    if isinstance(row, StageFailed):
        raise row
    return row


# The join key of views without entities.
ENTITYLESS = "__dummy_id"
