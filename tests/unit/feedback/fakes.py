"""Fakes of the feedback ports, events to feed them, and features computed the slow and obvious way."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np
from hypothesis import strategies as st

from banquet.core.declared import HISTORY_LENGTH, INTERACTIONS
from banquet.core.errors import Overloaded
from banquet.core.ids import KeyTypes
from banquet.feedback.events import Event, encode
from banquet.feedback.ports import ActivityRow, RecentRow, Recorded, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from banquet.core.declared import Entity

TYPES = ("impression", "click", "rating", "purchase")
Row = TypeVar("Row", ActivityRow, RecentRow)
Features: TypeAlias = tuple[tuple[str, ...], int, int, np.float32 | None]
START_US = 1_700_000_000_000_000

any_event = st.builds(
    Event,
    event_id=st.text(min_size=1, max_size=20),
    type=st.sampled_from(TYPES),
    user_id=st.text(min_size=1, max_size=20),
    item_id=st.text(min_size=1, max_size=20),
    time_us=st.integers(0, 2**62),
    request_id=st.text(max_size=5),
    position=st.none() | st.integers(0, 2**32 - 1),
    value=st.none() | st.floats(width=32, allow_nan=False),
)


def make_event(number: int, *, user: str = "u1", item: str | None = None, kind: str = "click", **fields: object) -> Event:
    """Event `e<number>`, `number` seconds after the start."""
    times = {"time_us": START_US + number * 1_000_000}
    return Event(**{"event_id": f"e{number}", "type": kind, "user_id": user, "item_id": item or f"i{number}"} | times | fields)


def random_events(count: int, seed: int, *, users: int = 20, items: int = 80) -> list[Event]:
    """Different events of all types; some happen at the same time."""
    chance = random.Random(seed)
    return [
        make_event(
            number,
            user=f"u{chance.randrange(users)}",
            item=f"i{chance.randrange(items)}",
            kind=chance.choice(TYPES),
            value=chance.choice([None, 0.5, 3.25, 5.0]),
            time_us=START_US + chance.randrange(count) * 1_000_000,
        )
        for number in range(count)
    ]


def recomputed(events: Iterable[Event], key: str) -> dict[str, Features]:
    """History, interactions, ratings and mean rating per user (`user_id`) or item (`item_id`), from all events at once."""
    unique = {event.event_id: event for event in events if event.type in INTERACTIONS}
    newest_first = sorted(unique.values(), key=lambda event: (event.time_us, event.event_id), reverse=True)
    features = {}
    for owner in {getattr(event, key) for event in newest_first}:
        theirs = [event for event in newest_first if getattr(event, key) == owner]
        ratings = [event.value for event in theirs if event.type == "rating" and event.value is not None]
        history = tuple(dict.fromkeys(event.item_id for event in theirs))[:HISTORY_LENGTH] if key == "user_id" else ()
        features[owner] = (history, len(theirs), len(ratings), np.float32(sum(ratings) / len(ratings)) if ratings else None)
    return features


def recomputed_recent(events: Iterable[Event], key: str, now_us: int) -> dict[str, dict[str, float]]:
    """The windowed features at a moment of all who have an event in the longest one, by the words of the docs alone."""
    features: dict[str, dict[str, float]] = {}
    unique = {event.event_id: event for event in events}.values()
    for name, length_s, step_s in (("1h", 3_600, 60), ("24h", 86_400, 1_800), ("7d", 604_800, 10_800)):
        # The step under way and the whole ones before it.
        begin_us = (now_us // (step_s * 1_000_000) + 1) * step_s * 1_000_000 - length_s * 1_000_000
        within = [event for event in unique if event.time_us >= begin_us]
        count = Counter((getattr(event, key), event.type) for event in within)
        for owner in {getattr(event, key) for event in unique}:
            impressions, clicks = count[owner, "impression"], count[owner, "click"]
            features.setdefault(owner, {}).update(
                {
                    f"impressions_{name}": impressions,
                    f"clicks_{name}": clicks,
                    f"interactions_{name}": clicks + count[owner, "rating"] + count[owner, "purchase"],
                    f"click_rate_{name}": (clicks + 1) / (max(clicks, impressions) + 20),
                }
            )
    return {owner: row for owner, row in features.items() if row["impressions_7d"] or row["interactions_7d"]}


def features_of(rows: Mapping[str, ActivityRow]) -> dict[str, Features]:
    """Rows in the form of `recomputed`."""
    return {
        row.entity_id: (
            row.history,
            row.interaction_count,
            row.rating_count,
            None if row.rating_mean is None else np.float32(row.rating_mean),
        )
        for row in rows.values()
    }


def write_segment(path: Path, events: Iterable[Event]) -> None:
    """A segment as a writer that is still alive would have left it so far."""
    with path.open("ab") as file:
        file.write(b"".join(map(encode, events)))


@dataclass
class MemoryEventLog:
    """An `EventLog` without a disk, or with one that is full."""

    events: list[Event] = field(default_factory=list)
    full: bool = False

    async def append(self, events: Sequence[Event]) -> Recorded:
        if self.full:
            raise Overloaded("the fake disk is full")
        known = {event.event_id for event in self.events}
        new = {event.event_id: event for event in reversed(events) if event.event_id not in known}
        self.events += reversed(new.values())
        return Recorded(len(new), len(events) - len(new))

    async def close(self) -> None:
        self.full = True


@dataclass
class MemoryActivity:
    """An `ActivityStore` that, like Redis, drops rows that are not newer; it fails the next `failures` calls."""

    users: dict[str, ActivityRow] = field(default_factory=dict)
    items: dict[str, ActivityRow] = field(default_factory=dict)
    user_recent: dict[str, RecentRow] = field(default_factory=dict)
    item_recent: dict[str, RecentRow] = field(default_factory=dict)
    kept: frozenset[Entity] = frozenset({"user", "item"})
    recent: frozenset[Entity] = frozenset({"user", "item"})
    keys: KeyTypes = field(default_factory=KeyTypes)
    failures: int = 0
    pushes: Counter[str] = field(default_factory=Counter)

    def read_users(self, user_ids: Sequence[str]) -> Mapping[str, ActivityRow]:
        self._may_fail()
        return {user: self.users[user] for user in user_ids if user in self.users}

    def read_items(self, item_ids: Sequence[str]) -> Mapping[str, ActivityRow]:
        self._may_fail()
        return {item: self.items[item] for item in item_ids if item in self.items}

    def push_users(self, rows: Sequence[ActivityRow]) -> None:
        self._push("users", self.users, rows)

    def push_items(self, rows: Sequence[ActivityRow]) -> None:
        self._push("items", self.items, rows)

    def push_recent(self, entity: Entity, rows: Sequence[RecentRow]) -> None:
        self._push(f"{entity}_recent", self.user_recent if entity == "user" else self.item_recent, rows)

    def forget_users(self, user_ids: Sequence[str]) -> None:
        self._may_fail()
        for user_id in user_ids:
            self.users.pop(user_id, None)
            self.user_recent.pop(user_id, None)

    def _push(self, view: str, stored: dict[str, Row], rows: Sequence[Row]) -> None:
        self._may_fail()
        self.pushes[view] += 1
        for row in rows:
            if row.entity_id not in stored or row.event_time_us > stored[row.entity_id].event_time_us:
                stored[row.entity_id] = row

    def _may_fail(self) -> None:
        if self.failures > 0:
            self.failures -= 1
            raise StoreUnavailable("the fake store is down")
