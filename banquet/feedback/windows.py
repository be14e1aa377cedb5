"""Events counted by step of every declared window, so that a window can slide without the events themselves.

Counts do not depend on the order in which events arrive, only on when they happened.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

from banquet.core.declared import EVENT_TYPES, WINDOWS, recent_values

if TYPE_CHECKING:
    from collections.abc import Iterable

    from banquet.feedback.events import Event

# For each window: by step, the number of events of each of EVENT_TYPES.
Steps: TypeAlias = list[dict[int, list[int]]]

_NUMBER = {kind: number for number, kind in enumerate(EVENT_TYPES)}
_WIDTH = len(EVENT_TYPES)


def no_steps() -> Steps:
    return [{} for _ in WINDOWS]


def count(steps: Steps, events: Iterable[Event], now_us: int) -> None:
    """Count events, each not counted before, in the windows they still lie in; change `steps`."""
    first = [window.first_step(now_us) for window in WINDOWS]
    for event in events:
        number = _NUMBER[event.type]
        for window, oldest, counted in zip(WINDOWS, first, steps, strict=True):
            step = window.step_of(event.time_us)
            if step >= oldest:
                if step not in counted:
                    counted[step] = [0] * _WIDTH
                counted[step][number] += 1


def slide(steps: Steps, now_us: int) -> None:
    """Drop what the windows have left behind; change `steps`."""
    for window, counted in zip(WINDOWS, steps, strict=True):
        oldest = window.first_step(now_us)
        for step in [step for step in counted if step < oldest]:
            del counted[step]


def due_us(steps: Steps) -> int | None:
    """When the next step leaves its window; None when nothing is counted."""
    moments = [window.ends_us(min(counted)) for window, counted in zip(WINDOWS, steps, strict=True) if counted]
    return min(moments, default=None)


def values_of(steps: Steps) -> dict[str, int | float]:
    """The features, from steps that were slid to the moment they are for."""
    return recent_values(
        [dict(zip(EVENT_TYPES, map(sum, zip(*counted.values(), [0] * _WIDTH, strict=True)), strict=True)) for counted in steps]
    )


def to_text(steps: Steps) -> str:
    return json.dumps([[[step, *numbers] for step, numbers in counted.items()] for counted in steps], separators=(",", ":"))


def from_text(text: str) -> Steps:
    return [{step: numbers for step, *numbers in counted} for counted in json.loads(text)]
