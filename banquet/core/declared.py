"""Which features events become: the one place that says so.

What the consumer counts and pushes, the fields of the Feast views and the parquet behind them all follow from `VIEWS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Entity = Literal["user", "item"]
Kind = Literal["history", "count", "mean", "rate"]

EVENT_TYPES = ("impression", "click", "rating", "purchase")
# What a user chose to do. An impression is what we did.
INTERACTIONS = ("click", "rating", "purchase")
# Models look at the newest of them (`history_length` of a release); all of them are seen, and not shown again.
HISTORY_LENGTH = 200
SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """The last `length_s` seconds, sliding in steps: it holds the step under way and the whole ones before it.

    So an event counts for at least `length_s - step_s` and at most `length_s`. An event ahead of the clock counts at once.
    """

    name: str
    length_s: int
    step_s: int

    def step_of(self, time_us: int) -> int:
        return time_us // (self.step_s * SECOND_US)

    def first_step(self, now_us: int) -> int:
        """The oldest step that still counts."""
        return self.step_of(now_us) - self.length_s // self.step_s + 1

    def ends_us(self, step: int) -> int:
        """The moment from which a step no longer counts."""
        return (step + self.length_s // self.step_s) * self.step_s * SECOND_US


@dataclass(frozen=True, slots=True)
class Prior:
    """What a rate starts from: as if `hits` of `tries` had been seen before."""

    hits: float
    tries: float


@dataclass(frozen=True, slots=True)
class Feature:
    """`of` is the event types it is made of; a rate is `of` per `per`. Without a window it is about all time."""

    name: str
    kind: Kind
    of: tuple[str, ...]
    window: Window | None = None
    per: tuple[str, ...] = ()
    prior: Prior | None = None

    @property
    def type(self) -> str:
        """Feast's name of its type."""
        return {"history": "STRING_LIST", "count": "INT64", "mean": "FLOAT", "rate": "FLOAT"}[self.kind]


WINDOWS = (Window("1h", 3_600, 60), Window("24h", 86_400, 1_800), Window("7d", 604_800, 10_800))
CLICK_PRIOR = Prior(hits=1.0, tries=20.0)

HISTORY = Feature("history", "history", INTERACTIONS)  # the last 200 different items, newest first
COUNTERS = (
    Feature("interaction_count", "count", INTERACTIONS),
    Feature("rating_count", "count", ("rating",)),
    Feature("rating_mean", "mean", ("rating",)),
)


def _recent(window: Window) -> tuple[Feature, ...]:
    return (
        Feature(f"impressions_{window.name}", "count", ("impression",), window),
        Feature(f"clicks_{window.name}", "count", ("click",), window),
        Feature(f"interactions_{window.name}", "count", INTERACTIONS, window),
        Feature(f"click_rate_{window.name}", "rate", ("click",), window, ("impression",), CLICK_PRIOR),
    )


RECENT = tuple(feature for window in WINDOWS for feature in _recent(window))
ACTIVITY: Mapping[Entity, tuple[Feature, ...]] = {"user": (HISTORY, *COUNTERS), "item": COUNTERS}
VIEWS: Mapping[str, tuple[Feature, ...]] = {
    "user_activity": ACTIVITY["user"],
    "item_activity": ACTIVITY["item"],
    "user_recent": RECENT,
    "item_recent": RECENT,
}


def entity_of(view: str) -> Entity:
    """Whom one of `VIEWS` is about."""
    return "user" if view.startswith("user") else "item"


def rate(hits: int, tries: int, prior: Prior) -> float:
    """Hits per try. Whoever clicked had seen the item, whether or not its impression was recorded."""
    return (hits + prior.hits) / (max(hits, tries) + prior.tries)


def recent_values(counts: Sequence[Mapping[str, int]]) -> dict[str, int | float]:
    """The features of `RECENT` from the number of events by type in each of `WINDOWS`."""
    by_window = dict(zip(WINDOWS, counts, strict=True))
    values: dict[str, int | float] = {}
    for feature in RECENT:
        assert feature.window is not None, "RECENT is windowed"
        counted = by_window[feature.window]
        hits = sum(counted[kind] for kind in feature.of)
        tries = sum(counted[kind] for kind in feature.per)
        values[feature.name] = hits if feature.prior is None else rate(hits, tries, feature.prior)
    return values
