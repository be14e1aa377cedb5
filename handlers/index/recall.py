"""How much of the exact answer an index finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from handlers.index.index import Index, Lines
    from handlers.index.ivf import Ivf

# Users per step: bounds the memory of the exact scores.
STEP = 16


def recall(index: Ivf, lines: Lines, users: Tensor, exact_scores: Tensor) -> float:
    """The share of the best k that the lists looked into have, by score: what scores as high as the last of the exact belongs."""
    k = exact_scores.shape[1]
    found = torch.cat([index.looked_up(lines, part[:, None], _nothing(part), k)[1] for part in torch.split(users, STEP)])
    last = exact_scores[:, -1:]
    return float((found >= last - 1e-5 * last.abs()).float().mean())


def best_scores(index: Index, lines: Lines, users: Tensor, k: int) -> Tensor:
    """The k best scores of users [Q, d], [Q, k]."""
    return torch.cat([index.best(lines, part[:, None], _nothing(part), k)[1] for part in torch.split(users, STEP)])


def _nothing(users: Tensor) -> Tensor:
    return torch.empty((len(users), 0), dtype=torch.int64, device=users.device)
