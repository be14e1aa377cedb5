"""What the ranking model may know at a moment: users, items and histories as they were just before it, never later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from banquet.training.models.ranking import item_features
from banquet.training.windows import history_before, items_at

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from banquet.training.activity import Log
    from banquet.training.encoding import Activity, Items, Users
    from banquet.training.models.ranking import Ranker

    Ints = NDArray[np.int64]
    Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Moments:
    """Ranking's inputs for targets, which are positions in the log; each stands for its user just before its event."""

    log: Log
    items: Items
    users: Users
    user_activity: Activity
    item_activity: Activity
    history_length: int

    def user_inputs(
        self, targets: Ints, *, profile: Mask | None = None, activity: bool = True
    ) -> tuple[Tensor | None, Tensor | None]:
        """Categories [..., Uc] and numbers [..., Un] of targets [...]; None where the width is 0.

        What is missing in serving is zeros: all of a `profile` where the mask [...] says so, and the counters without `activity`.
        """
        users = self.log.user[targets]
        has_profile = np.ones(targets.shape, np.bool_) if profile is None else profile
        counted = self.user_activity.at(users, self.log.moments[targets]) * np.float32(activity)
        numbers = np.concatenate([self.users.profile[users] * has_profile[..., None], counted], -1, dtype=np.float32)
        categories = self.users.categories[users] * has_profile[..., None]
        return (
            torch.from_numpy(categories) if categories.shape[-1] else None,
            torch.from_numpy(numbers) if numbers.shape[-1] else None,
        )

    def user(self, model: Ranker, targets: Ints, *, profile: Mask | None = None, activity: bool = True) -> Tensor:
        """[..., user_dim] of targets [...], of whom as much is known as `user_inputs` says."""
        encoded: Tensor = model.user(*self.user_inputs(targets, profile=profile, activity=activity))
        return encoded.expand(*targets.shape, -1)

    def candidates(self, model: Ranker, rows: Ints, targets: Ints) -> Tensor:
        """Features [B, C, F] of item rows [B, C] at the moments of targets [B, 1 or C]."""
        fares = torch.from_numpy(self.item_activity.at(rows, self.log.moments[targets]))
        return item_features(self.items.vectors(model.items, torch.from_numpy(rows)), fares)

    def history(self, model: Ranker, targets: Ints) -> tuple[Tensor, Tensor]:
        """What the items before targets [B] are [B, L, S], and the mask [B, L]."""
        rows = torch.from_numpy(self.history_rows(targets))
        return self.items.vectors(model.items, rows), (rows >= 0).to(torch.float32)

    def history_rows(self, targets: Ints) -> Ints:
        """Item rows [B, L], oldest first, left-padded with -1."""
        return items_at(self.log, history_before(self.log, self.log.user[targets], targets, self.history_length))
