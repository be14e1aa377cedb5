"""The ports of the feedback plane: where events become durable, and where features derived from them go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from banquet.core.errors import BanquetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from banquet.core.declared import Entity
    from banquet.core.ids import KeyTypes
    from banquet.feedback.events import Event


@dataclass(frozen=True, slots=True)
class Recorded:
    """What an append did: `recorded` events are new and durable; `duplicates` were before, as far as this process remembers."""

    recorded: int
    duplicates: int


class EventLog(Protocol):
    """Makes events durable. Raises `Overloaded` when it cannot; the caller may then send the same events again."""

    async def append(self, events: Sequence[Event]) -> Recorded: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """One user's or item's row in the online store. `history` is item ids, newest first, and empty for an item.

    `rating_mean` is None while there are no ratings; `event_time_us` is microseconds since 1970 UTC.
    """

    entity_id: str
    interaction_count: int
    rating_count: int
    rating_mean: float | None
    event_time_us: int
    history: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecentRow:
    """One user's or item's windowed features (`banquet.core.declared.RECENT`) as they were at `event_time_us`."""

    entity_id: str
    values: Mapping[str, int | float]
    event_time_us: int


class KeptRow(NamedTuple):
    """A row of any view as it was pushed."""

    entity_id: str
    event_time_us: int
    values: Mapping[str, object]


class StoreUnavailable(BanquetError):
    """The online store could not be read or written just now; the text says why."""


class ActivityStore(Protocol):
    """The online store's views of what happened. Every method raises `StoreUnavailable` while it is down.

    Reads leave out whom the store does not know. A store may ignore a pushed row that is not newer than the one it has.
    `kept` says of which entities it keeps what they did, `recent` for which it has windowed features; pushes of others do
    nothing. `keys` says which ids it can have;
    rows of others are not pushed.
    """

    @property
    def keys(self) -> KeyTypes: ...

    @property
    def kept(self) -> frozenset[Entity]: ...

    @property
    def recent(self) -> frozenset[Entity]: ...

    def read_users(self, user_ids: Sequence[str]) -> Mapping[str, ActivityRow]: ...

    def read_items(self, item_ids: Sequence[str]) -> Mapping[str, ActivityRow]: ...

    def push_users(self, rows: Sequence[ActivityRow]) -> None: ...

    def push_items(self, rows: Sequence[ActivityRow]) -> None: ...

    def push_recent(self, entity: Entity, rows: Sequence[RecentRow]) -> None: ...

    def forget_users(self, user_ids: Sequence[str]) -> None:
        """Remove the users' rows from every view of users, whoever wrote them."""


class OfflineStore(Protocol):
    """Where every pushed row goes a second time, for training. Methods raise `StoreUnavailable` while it is down."""

    def append(self, view: str, rows: Sequence[KeptRow], name: str) -> None:
        """Take rows of a view; a second time under the same name, they are taken once where the store can tell."""

    def start_over(self) -> None:
        """Drop what was appended: the store was filled anew."""

    def forget_user(self, user_id: str) -> None: ...
