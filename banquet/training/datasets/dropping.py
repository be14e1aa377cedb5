"""Leaves out events that would be errors, where the user asked for it, and says how many."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from banquet.training.datasets.checks import codes_of, repeats

if TYPE_CHECKING:
    from banquet.training.datasets.source import Raw


@dataclass(frozen=True, slots=True)
class Dropping:
    """Which events go: exact `duplicates` of earlier ones, and those with `unknown_items`, which the table of items lacks."""

    duplicates: bool = False
    unknown_items: bool = False


def dropped(raw: Raw, dropping: Dropping) -> Raw:
    """What is left, with a note for each kind of event that went."""
    events = raw.interactions
    if dropping.duplicates:
        # An id of its own does not make an event another one; a value does.
        names = [name for name in events.table.column_names if name != "event_id"]
        again = np.zeros(events.table.num_rows, np.bool_)
        again[repeats(*(codes_of(events.table[name]) for name in names))[1]] = True
        events = events.without(again, "events are exact duplicates")
    if dropping.unknown_items and raw.items:
        known = pc.is_in(events.table["item_id"], pc.unique(raw.items.table["item_id"]))
        events = events.without(~known.to_numpy(), f"events have items that {raw.items.file} lacks")
    return replace(raw, interactions=events)
