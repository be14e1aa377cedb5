"""Every line is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from handlers.index.index import of_interests
from handlers.topk import top_k

if TYPE_CHECKING:
    from torch import Tensor

    from handlers.index.index import Lines

# Scores held at a time (vectors of users x lines), 256 MB: bounds the memory of a large batch over a large catalogue.
MAX_SCORES = 2**26


class Exact:
    """The dot product with every line (by torch, whose threads are bounded) and a top-k, on whatever device the lines are."""

    name = "exact"

    def best(self, lines: Lines, users: Tensor, seen: Tensor, k: int) -> tuple[Tensor, Tensor]:
        step = max(1, MAX_SCORES // (len(lines.vectors) * users.shape[1]))
        parts = [self._best(lines, users[at : at + step], seen[at : at + step], k) for at in range(0, len(users), step)]
        if len(parts) == 1:
            return parts[0]
        slots, scores = zip(*parts, strict=True)
        return torch.cat(slots), torch.cat(scores)

    @staticmethod
    def _best(lines: Lines, users: Tensor, seen: Tensor, k: int) -> tuple[Tensor, Tensor]:
        scores = of_interests((users.flatten(0, 1) @ lines.vectors.T).view(*users.shape[:2], -1), users)
        scores.index_fill_(1, lines.hidden, -torch.inf)
        scores.scatter_(1, seen, -torch.inf)
        return top_k(scores, k)
