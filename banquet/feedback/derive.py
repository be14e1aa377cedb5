"""The activity of users and items after events. None of it depends on the order in which events arrive."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from banquet.core.declared import ACTIVITY, HISTORY_LENGTH, INTERACTIONS
from banquet.feedback.ports import ActivityRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from banquet.core.declared import Entity
    from banquet.feedback.events import Event

# Ratings are summed as whole millionths: a sum of floats would depend on their order.
_MILLIONTHS = 1_000_000


@dataclass(frozen=True, slots=True)
class Visit:
    """A user's newest interaction with an item. Newer is a later time; of two at once, the greater event id."""

    time_us: int
    event_id: str
    item_id: str

    @property
    def newness(self) -> tuple[int, str]:
        return self.time_us, self.event_id


@dataclass(frozen=True, slots=True)
class Activity:
    """What is known of one user or item. `visits` is newest first, at most `HISTORY_LENGTH` different items; none for an item.

    `time_us` is that of the newest event, but grows with every change: stores drop a row that is not newer than theirs.
    """

    visits: tuple[Visit, ...] = ()
    interactions: int = 0
    ratings: int = 0
    rating_millionths: int = 0
    time_us: int = 0


def is_interaction(event: Event) -> bool:
    return event.type in INTERACTIONS


def user_after(user: Activity, events: Iterable[Event]) -> Activity:
    """A user's activity after events of theirs, each an interaction not counted before."""
    events = list(events)
    newest = {visit.item_id: visit for visit in user.visits}
    for event in events:
        visit = Visit(event.time_us, event.event_id, event.item_id)
        known = newest.get(event.item_id)
        if known is None or visit.newness > known.newness:
            newest[event.item_id] = visit
    visits = sorted(newest.values(), key=lambda visit: visit.newness, reverse=True)
    return _counted(user, events, tuple(visits[:HISTORY_LENGTH]))


def item_after(item: Activity, events: Iterable[Event]) -> Activity:
    """An item's activity after events with it, each an interaction not counted before."""
    return _counted(item, list(events), ())


def _counted(activity: Activity, events: list[Event], visits: tuple[Visit, ...]) -> Activity:
    ratings = [event.value for event in events if event.type == "rating" and event.value is not None and isfinite(event.value)]
    return Activity(
        visits,
        activity.interactions + len(events),
        activity.ratings + len(ratings),
        activity.rating_millionths + sum(round(rating * _MILLIONTHS) for rating in ratings),
        max([activity.time_us + 1, *(event.time_us for event in events)]),
    )


def from_row(row: ActivityRow | None) -> Activity:
    """The activity behind a row that others wrote: its history keeps its order and lies just before the row's time."""
    if row is None:
        return Activity()
    visits = tuple(Visit(row.event_time_us - age, "", item_id) for age, item_id in enumerate(dict.fromkeys(row.history)))
    mean, ratings = (0.0, 0) if row.rating_mean is None else (row.rating_mean, row.rating_count)
    return Activity(
        visits[:HISTORY_LENGTH], row.interaction_count, ratings, round(mean * ratings * _MILLIONTHS), row.event_time_us
    )


def row_values(kind: Entity, row: ActivityRow) -> dict[str, object]:
    """A row's features by name, as `banquet.core.declared` has them for users or items."""
    return {feature.name: getattr(row, feature.name) for feature in ACTIVITY[kind]}


def to_row(entity_id: str, activity: Activity) -> ActivityRow:
    ratings = activity.ratings
    return ActivityRow(
        entity_id,
        activity.interactions,
        ratings,
        activity.rating_millionths / _MILLIONTHS / ratings if ratings else None,
        activity.time_us,
        tuple(visit.item_id for visit in activity.visits),
    )
