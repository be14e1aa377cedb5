"""What Feast and Banquet say of a value beside the value: was it there, and is it too old."""

from __future__ import annotations

from typing import TYPE_CHECKING

from banquet.features.stores.cells import NOTHING

if TYPE_CHECKING:
    from banquet.features.stores.cells import StoredRow

# As Feast's FieldStatus spells them.
PRESENT, NOT_FOUND, OUTSIDE_MAX_AGE = "PRESENT", "NOT_FOUND", "OUTSIDE_MAX_AGE"
CODES = {PRESENT: 1, NOT_FOUND: 3, OUTSIDE_MAX_AGE: 4}


def is_absent(row: StoredRow) -> bool:
    """Whether the store has nothing of an entity."""
    return row is NOTHING


def age_s(time_us: int, now_s: float) -> float:
    return max(0.0, now_s - time_us / 1e6)


def outside_max_age(time_us: int, ttl_s: int, now_s: float) -> bool:
    """The rule of Feast's Go server: whole seconds, older than the ttl, and a ttl of 0 means never."""
    return ttl_s > 0 and int(now_s) - time_us // 1_000_000 > ttl_s
