"""How much of the exact answer an index finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from handlers.index.index import Index, Lines

# Users per step: bounds the memory of the exact scores.
STEP = 16


def recall(index: Index, lines: Lines, users: Tensor, exact_scores: Tensor) -> float:
    """The share of the best k that `index` finds, by score: whatever scores as high as the last of the exact ones belongs."""
    found = torch.cat(
        [index.best(lines, part[:, None], _nothing(part), exact_scores.shape[1])[1] for part in torch.split(users, STEP)]
    )
    last = exact_scores[:, -1:]
    return float((found >= last - 1e-5 * last.abs()).float().mean())


def best_scores(index: Index, lines: Lines, users: Tensor, k: int) -> Tensor:
    """The k best scores of users [Q, d], [Q, k]."""
    return torch.cat([index.best(lines, part[:, None], _nothing(part), k)[1] for part in torch.split(users, STEP)])


def _nothing(users: Tensor) -> Tensor:
    return torch.empty((len(users), 0), dtype=torch.int64, device=users.device)
