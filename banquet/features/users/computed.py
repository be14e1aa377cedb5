"""The features of users that on-demand views compute while the user is read. Imports Feast."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from banquet.core.errors import StageFailed
from banquet.features.project.definitions import Projection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from banquet.core.query import UserFeatures
    from banquet.features.online.on_demand import OnDemandViews
    from banquet.features.project.repo import FeatureRepo
    from banquet.features.stores.cells import StoredRow
    from banquet.features.users.joined import Ask
    from banquet.features.users.rows import UserRows

    Row: TypeAlias = "Sequence[StoredRow | StageFailed]"

log = logging.getLogger(__name__)


class ComputedUsers:
    """Completes rows by on-demand views, in one thread beside the event loop. Feast is imported there, at the first read."""

    def __init__(self, repo: FeatureRepo) -> None:
        self._repo = repo
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="on-demand-views")
        self._views: OnDemandViews | None = None
        self._rows: UserRows | None = None
        self._trouble = ""

    async def complete(
        self,
        rows: UserRows,
        asks: Sequence[Ask],
        stored: Sequence[Row],
        users: Sequence[UserFeatures | StageFailed],
    ) -> list[UserFeatures | StageFailed]:
        """The rows with their computed features; without them, and with a note, where the views' code fails."""
        good = [number for number, user in enumerate(users) if not isinstance(user, StageFailed)]
        outcome = list(users)
        if not good:
            return outcome
        work = asyncio.get_running_loop().run_in_executor(
            self._thread, self._compute, rows, [asks[number] for number in good], [stored[number] for number in good]
        )
        # Whoever stops waiting must not stop what the next one waits for.
        for number, computed in zip(good, await asyncio.shield(work), strict=True):
            user = users[number]
            assert not isinstance(user, StageFailed), "these were left out"
            if computed is None:
                outcome[number] = replace(user, notes=(*user.notes, "not_computed"))
            else:
                outcome[number] = rows.with_computed(user, computed)
        return outcome

    def close(self) -> None:
        self._thread.shutdown(wait=False)

    def _compute(self, rows: UserRows, asks: Sequence[Ask], stored: Sequence[Row]) -> list[dict[str, bytes] | None]:
        """Each user's computed features by column; None where that failed. One user's failure costs nobody else's."""
        from banquet.features.online.on_demand import OnDemandViews  # noqa: PLC0415 - Feast takes seconds

        try:
            if self._views is None or self._rows is not rows:
                self._views, self._rows = OnDemandViews(self._repo), rows
            columns = self._run(self._views, rows, asks, stored)
            return [{name: blobs[at] for name, blobs in columns.items()} for at in range(len(asks))]
        except Exception as error:  # noqa: BLE001 - the code in the views is the user's own
            if len(asks) > 1:
                return [self._compute(rows, [ask], [its])[0] for ask, its in zip(asks, stored, strict=True)]
            if str(error) != self._trouble:
                log.warning("on-demand views cannot be computed: %r", error)
            self._trouble = str(error)
            return [None]

    def _run(self, views: OnDemandViews, rows: UserRows, asks: Sequence[Ask], stored: Sequence[Row]) -> dict[str, list[bytes]]:
        from banquet.features.online.on_demand import serialized  # noqa: PLC0415 - as above

        inputs: dict[str, list[bytes | None]] = {}
        for number, source in enumerate(rows.sources):
            for at, feature in enumerate(source.part.features):
                inputs[feature] = [_cell(its[number], at) for its in stored]
        computed: dict[str, list[bytes]] = {}
        contexts = [rows.defaults | dict(ask.context) for ask in asks]
        for source in rows.sources:
            for name, kind in zip(source.view.asked, source.view.key_types, strict=True):
                own = name == source.view.own_key
                parts = [ask.user_id if own else context.get(name) for ask, context in zip(asks, contexts, strict=True)]
                inputs[name] = list(serialized([_key_part(kind, part) for part in parts], kind))
        for view in rows.computed:
            data = views.request_data(view.registered)
            for name, kind in data.items():
                inputs[name] = list(serialized([_as(kind, context.get(name)) for context in contexts], kind))
            made = views.compute([Projection(view.registered, view.name, tuple(view.features))], inputs)
            computed |= {view.column(name): blobs for name, blobs in made.items()}
        return computed


def _cell(row: StoredRow | StageFailed, at: int) -> bytes | None:
    if isinstance(row, StageFailed) or not row[1]:
        return None
    return row[1][at]


def _key_part(kind: str, text: str | None) -> object:
    """None for what cannot be in a key: nothing is stored under it either."""
    try:
        return _as(kind, text)
    except ValueError:
        return None


def _as(kind: str, text: str | None) -> object:
    """A text of the request's context as Feast's type. Raises `ValueError`."""
    if text is None:
        return None
    if kind in {"INT32", "INT64", "UNIX_TIMESTAMP"}:
        return int(text)
    if kind in {"FLOAT", "DOUBLE"}:
        return float(text)
    if kind == "BOOL":
        return text.lower() in {"true", "1"}
    return text.encode() if kind == "BYTES" else text
