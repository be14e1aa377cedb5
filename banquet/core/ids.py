"""How the ids of users and items are spelled: as any text, or in one way where a Feast repo's keys are whole numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from banquet.core.declared import Entity

# What is a key without a look at the range: most ids are.
_PLAINLY = {"INT32": re.compile(r"0|-?[1-9][0-9]{0,8}"), "INT64": re.compile(r"0|-?[1-9][0-9]{0,17}")}
_WHOLE = re.compile(r"0|-?[1-9][0-9]*")
_SPELLED_OTHERWISE = re.compile(r"\s*([+-]?)0*([0-9]+)\s*", re.ASCII)
_BITS = {"INT32": 32, "INT64": 64}
# No number of 64 bits has more digits; `int` refuses thousands of them.
_MOST_CHARACTERS = 20


def id_problem(key_type: str, entity_id: str) -> str:
    """Why an id is no key of one of Feast's value types, and what to write instead; empty when it is one.

    A whole number has one spelling: "007" and "7" would be one row of the store and two states of the consumer.
    """
    plainly = _PLAINLY.get(key_type)
    if plainly is None or plainly.fullmatch(entity_id):
        return ""
    bits = _BITS[key_type]
    shown = f"{entity_id[:32]!r}{'...' if len(entity_id) > len(entity_id[:32]) else ''}"
    wanted = f"the repo's key is a whole number of {bits} bits"
    if _WHOLE.fullmatch(entity_id):
        limit = 1 << (bits - 1)
        if len(entity_id) <= _MOST_CHARACTERS and -limit <= int(entity_id) < limit:
            return ""
        return f"{shown} is too large: {wanted}; send the id that the repo has"
    if (digits := _SPELLED_OTHERWISE.fullmatch(entity_id)) and len(entity_id) <= _MOST_CHARACTERS:
        number = int(digits[1] + digits[2])
        return f"{shown} is not how the id is spelled: {wanted}; write {str(number)!r}"
    return f"{shown} is no id: {wanted}; write it in digits alone, such as '7'"


def first_problem(key_type: str, entity_ids: Sequence[str]) -> tuple[int, str] | None:
    """The place of the first id that is no key, and why; None when all are. Thousands are looked at in a millisecond."""
    plainly = _PLAINLY.get(key_type)
    if plainly is None or all(map(plainly.fullmatch, entity_ids)):
        return None
    problems = ((place, id_problem(key_type, entity_id)) for place, entity_id in enumerate(entity_ids))
    return next((found for found in problems if found[1]), None)


@dataclass(frozen=True, slots=True)
class KeyTypes:
    """Feast's value types of the keys of users and items; any text is an id of `STRING`."""

    user: str = "STRING"
    item: str = "STRING"

    def problem(self, entity: Entity, entity_id: str) -> str:
        """As `id_problem`, for a user or an item."""
        return id_problem(self.user if entity == "user" else self.item, entity_id)

    def fits(self, user_id: str, item_id: str) -> bool:
        """Whether both can be keys."""
        return not (id_problem(self.user, user_id) or id_problem(self.item, item_id))
