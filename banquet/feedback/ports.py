"""The ports of the feedback plane: where events become durable, and where features derived from them go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from banquet.core.errors import BanquetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


class StoreUnavailable(BanquetError):
    """The online store could not be read or written just now; the text says why."""


class ActivityStore(Protocol):
    """The online store's `user_activity` and `item_activity`. Every method raises `StoreUnavailable` while it is down.

    Reads leave out whom the store does not know. A store may ignore a pushed row that is not newer than the one it has.
    """

    def read_users(self, user_ids: Sequence[str]) -> Mapping[str, ActivityRow]: ...

    def read_items(self, item_ids: Sequence[str]) -> Mapping[str, ActivityRow]: ...

    def push_users(self, rows: Sequence[ActivityRow]) -> None: ...

    def push_items(self, rows: Sequence[ActivityRow]) -> None: ...
