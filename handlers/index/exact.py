"""Every line is looked at, or every line that a filter allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from handlers.index.few import best_of
from handlers.index.index import joined, mask_of, of_interests
from handlers.topk import top_k

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from handlers.index.index import Lines

# Scores held at a time (vectors of users x lines), 256 MB: bounds the memory of a large batch over a large catalogue.
MAX_SCORES = 2**26
# Of a million lines of 64 a core looks through all, one behind the other, while it fetches so large a share of them.
FEW = 0.3
# Below so many lines it looks at all of them for all users at once.
LEAST = 10_000


class Exact:
    """The dot product with every line (by torch, whose threads are bounded) and a top-k, on whatever device the lines are."""

    name = "exact"

    def best(
        self, lines: Lines, users: Tensor, seen: Tensor, k: int, allowed: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        if allowed is not None and any(_are_few(slots, lines) for slots in allowed):
            queries = zip(torch.split(users, 1), torch.split(seen, 1), allowed, strict=True)
            return joined([self._one(lines, user, its, k, slots) for user, its, slots in queries])
        step = max(1, MAX_SCORES // (len(lines.vectors) * users.shape[1]))
        masks = [None] * len(users) if allowed is None else allowed
        return joined(
            [
                self._all(lines, users[at : at + step], seen[at : at + step], k, masks[at : at + step])
                for at in range(0, len(users), step)
            ]
        )

    def _one(self, lines: Lines, user: Tensor, seen: Tensor, k: int, slots: Tensor) -> tuple[Tensor, Tensor]:
        if _are_few(slots, lines):
            return best_of(lines.vectors, slots, user, seen, k)
        return self._all(lines, user, seen, k, [slots])

    @staticmethod
    def _all(lines: Lines, users: Tensor, seen: Tensor, k: int, allowed: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
        scores = of_interests((users.flatten(0, 1) @ lines.vectors.T).view(*users.shape[:2], -1), users)
        scores.index_fill_(1, lines.hidden, -torch.inf)
        scores.scatter_(1, seen, -torch.inf)
        for its, slots in zip(scores, allowed, strict=True):
            if slots is not None:
                its.masked_fill_(~mask_of(slots, lines), -torch.inf)
        return top_k(scores, k)


def _are_few(slots: Tensor, lines: Lines) -> bool:
    """Whether it is quicker to fetch them than to look at all lines; a GPU looks at all lines of all users at once."""
    return slots.device.type == "cpu" and LEAST < len(lines.vectors) > len(slots) / FEW
