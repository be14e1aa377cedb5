"""The shape of a user's row in one layout: what to read under which keys, and how stored values become `UserFeatures`."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from banquet.core.errors import StageFailed
from banquet.core.query import UserFeatures
from banquet.features.project.layout import HISTORY
from banquet.features.stores.cells import Part
from banquet.features.stores.encoding import BadValue, decode
from banquet.features.stores.entity_keys import EntityKeys
from banquet.features.stores.statuses import NOT_FOUND, OUTSIDE_MAX_AGE, PRESENT, age_s, is_absent, outside_max_age

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from banquet.features.project.layout import Layout, View
    from banquet.features.stores.cells import StoredRow
    from banquet.features.users.joined import Ask

Mode: TypeAlias = Literal["feast", "strict"]


@dataclass(frozen=True, slots=True)
class _Source:
    """One stored view: its keys, and which cells of its rows are served, under which names; `history` is the cell of that."""

    view: View
    keys: EntityKeys
    part: Part
    columns: tuple[tuple[str, int], ...]
    history: int | None
    asked: tuple[str, ...]

    def key(self, ask: Ask, context: Mapping[str, str]) -> bytes | None:
        """None where the request does not say all of the key, or says what cannot be in the store."""
        try:
            parts = [ask.user_id if name == self.view.own_key else context[name] for name in self.asked]
            return self.keys.encode(parts)
        except (KeyError, BadValue):
            return None


class UserRows:
    """Everything about reading users that one layout decides."""

    def __init__(self, layout: Layout, mode: Mode = "feast", defaults: Mapping[str, str] | None = None) -> None:
        self.layout = layout
        self.mode = mode
        self.defaults = dict(defaults or {})
        self.sources = tuple(_source(view) for view in layout.users if not view.computed)
        self.computed = tuple(view for view in layout.users if view.computed)
        self._blank = {view.column(name): None for view in layout.users for name in view.served if name != HISTORY}

    def keys(self, asks: Sequence[Ask]) -> list[list[bytes | None]]:
        """For each source a key per user."""
        contexts = [self.defaults | dict(ask.context) if ask.context else self.defaults for ask in asks]
        return [[source.key(ask, its) for ask, its in zip(asks, contexts, strict=True)] for source in self.sources]

    def row(self, ask: Ask, stored: Sequence[StoredRow | StageFailed]) -> UserFeatures | StageFailed:
        """A row from what each source has; features without a value are None."""
        values: dict[str, object] = dict(self._blank)
        history: tuple[str, ...] = ()
        statuses: dict[str, str] = {}
        ages_s: dict[str, float] = {}
        found = False
        now_s = time.time()
        for source, its in zip(self.sources, stored, strict=True):
            if isinstance(its, StageFailed):
                return its
            name = source.view.name
            if is_absent(its):
                statuses[name] = NOT_FOUND
                continue
            found = found or bool(source.view.own_key)
            time_us, blobs = its
            statuses[name] = PRESENT
            if time_us is not None:
                ages_s[name] = age_s(time_us, now_s)
                if self.mode == "strict" and outside_max_age(time_us, source.view.ttl_s, now_s):
                    statuses[name] = OUTSIDE_MAX_AGE
                    continue
            try:
                for column, at in source.columns:
                    if blob := blobs[at]:
                        values[column] = decode(blob)
                column = HISTORY
                if source.history is not None and (blob := blobs[source.history]):
                    history = _texts(decode(blob))
            except BadValue as error:
                return StageFailed("bad_value", f"user {ask.user_id!r}, feature {column!r}: {error}")
        notes = ("outside_max_age",) if OUTSIDE_MAX_AGE in statuses.values() else ()
        return UserFeatures(ask.user_id, values, history, found, statuses, ages_s, notes)

    def with_computed(self, row: UserFeatures, computed: Mapping[str, bytes]) -> UserFeatures | StageFailed:
        """The row with what on-demand views made of it, by column."""
        values = dict(row.values)
        try:
            for column, blob in computed.items():
                values[column] = decode(blob)
        except BadValue as error:
            return StageFailed("bad_value", f"user {row.user_id!r}, feature {column!r}: {error}")
        return replace(row, values=values)


def _source(view: View) -> _Source:
    names = tuple(view.features)
    columns = {view.column(name): at for at, name in enumerate(names) if name in view.served}
    history = columns.pop(HISTORY, None)
    return _Source(
        view, EntityKeys(view.join_keys, view.key_types), Part(view, names), tuple(columns.items()), history, view.asked
    )


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise BadValue(f"history is no list but {value!r}")
    return tuple(map(str, value))
