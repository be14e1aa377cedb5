"""Every line is looked at, or every line that a filter allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from handlers.index.few import best_of, best_scored
from handlers.index.index import joined, of_interests
from handlers.topk import top_k

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from handlers.index.index import Lines

# Scores held at a time (vectors of users x lines), 256 MB: bounds the memory of a large batch over a large catalogue.
MAX_SCORES = 2**26
# A core looks through all lines, one behind the other and for all users at once, while it fetches so large a share of them (of a
# million of 64, 30 ms); of few lines it looks at all in any case.
FEW = 0.3
LEAST = 10_000


class Exact:
    """The dot product with every line (by torch, whose threads are bounded) and a top-k, on whatever device the lines are."""

    name = "exact"

    def best(
        self, lines: Lines, users: Tensor, seen: Tensor, k: int, allowed: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        if allowed is not None and _are_few(allowed, lines):
            queries = zip(allowed, torch.split(users, 1), torch.split(seen, 1), strict=True)
            return joined([best_of(lines.vectors, slots, user, its, k) for slots, user, its in queries])
        step = max(1, MAX_SCORES // (len(lines.vectors) * users.shape[1]))
        steps = [slice(at, at + step) for at in range(0, len(users), step)]
        return joined([self._best(lines, users[its], seen[its], k, allowed and allowed[its]) for its in steps])

    @staticmethod
    def _best(lines: Lines, users: Tensor, seen: Tensor, k: int, allowed: Sequence[Tensor] | None) -> tuple[Tensor, Tensor]:
        scores = of_interests((users.flatten(0, 1) @ lines.vectors.T).view(*users.shape[:2], -1), users)
        scores.scatter_(1, seen, -torch.inf)
        if allowed is not None:
            return joined([best_scored(slots, its.take(slots)[None], k) for slots, its in zip(allowed, scores, strict=True)])
        scores.index_fill_(1, lines.hidden, -torch.inf)
        return top_k(scores, k)


def _are_few(allowed: Sequence[Tensor], lines: Lines) -> bool:
    """Whether it is quicker to fetch them than to look at all lines. A GPU looks at all."""
    on_a_cpu = lines.vectors.device.type == "cpu"
    return on_a_cpu and len(lines.vectors) > LEAST and sum(map(len, allowed)) < FEW * len(lines.vectors)
