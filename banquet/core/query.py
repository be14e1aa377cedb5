"""One request: who asks, where, how many, by when, and against which catalogue."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from banquet.core.candidates import Rows
    from banquet.core.catalogue import Catalogue
    from banquet.core.deadline import Deadline


@dataclass(frozen=True, slots=True)
class Degradation:
    """Something left out of an answer, and why. `reason` is one snake_case word."""

    stage: str
    reason: str


@dataclass(frozen=True, slots=True)
class AttributeFilter:
    """Keeps items whose catalogue column holds one of the values."""

    attribute: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UserFeatures:
    """One user's row as read from the online store.

    `values` holds plain Python values by feature name (None where the store has none); `history` the item ids, newest
    first; `found` is False for a user no view knows. `statuses` says by view whether its values were there (`PRESENT`,
    `NOT_FOUND`, `OUTSIDE_MAX_AGE`), `age_s` how old they were. `notes` are reasons why values are missing, for the answer.
    """

    user_id: str
    values: Mapping[str, object] = field(default_factory=dict)
    history: tuple[str, ...] = ()
    found: bool = False
    statuses: Mapping[str, str] = field(default_factory=dict)
    age_s: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Query:
    """One request on its way through a pipeline; every stage gets the same one.

    `item_id` is the item on the page, `item_ids` the caller's own candidates; both may be empty. `context` holds what else the
    user's features are looked up or computed by. Without slots, so that what several stages look up is looked up once.
    """

    request_id: str
    user_id: str
    placement: str
    limit: int
    deadline: Deadline
    catalogue: Catalogue
    item_id: str = ""
    item_ids: tuple[str, ...] = ()
    exclude_item_ids: tuple[str, ...] = ()
    filters: tuple[AttributeFilter, ...] = ()
    explain: bool = False
    context: Mapping[str, str] = field(default_factory=dict)
    user: UserFeatures = field(default_factory=lambda: UserFeatures(""))

    @cached_property
    def history_rows(self) -> Rows:
        """The row of each different item of the user's history, newest first; -1 for those that have left the catalogue."""
        return self.catalogue.rows_of(tuple(dict.fromkeys(self.user.history)))

    @cached_property
    def seen_rows(self) -> Rows:
        """Rows that must not come back, rising: the history, the caller's exclusions and the item on the page."""
        rows = self.history_rows
        if self.exclude_item_ids or self.item_id:
            rows = np.concatenate([rows, self.catalogue.rows_of([*self.exclude_item_ids, self.item_id])])
        return np.sort(rows[rows >= 0])

    def with_user(self, user: UserFeatures) -> Query:
        return replace(self, user=user)
