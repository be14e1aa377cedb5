"""From histories to the best items of a catalogue, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from handlers.gather import history_of
from handlers.topk import top_k

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from handlers.engines.engine import Graph
    from handlers.items import ResidentItems

# Scores held at a time (users x items): bounds the memory of a large batch over a large catalogue.
MAX_SCORES = 2**25


class Retriever:
    """History encoder, then the dot product with every item (by torch, whose threads are bounded) and a top-k."""

    def __init__(self, history_encoder: Graph) -> None:
        self._history_encoder = history_encoder

    def user_vectors(self, items: ResidentItems, history: Tensor) -> Tensor:
        """Slots of histories [B, L] -> [B, d]; zeros for a user without history."""
        values, mask = history_of(items.vectors, history)
        (vectors,) = self._history_encoder.run({"history": values, "mask": mask}).values()
        return vectors * mask.any(1, keepdim=True)

    def best(
        self, items: ResidentItems, user_vectors: Tensor, seen: NDArray[np.int32], limits: NDArray[np.int32]
    ) -> tuple[Tensor, Tensor]:
        """The slots of the `limits` [B, 1] best items per user and their scores, [B, K], best first, then 0 and NaN.

        Left out are rows in `seen` [B, S] and items not available; a user with a zero vector has no best.
        """
        k = int(np.clip(limits.max(), 0, len(items)))
        seen_slots, step = items.slots_of(seen), max(1, MAX_SCORES // len(items.vectors))
        starts = range(0, len(seen), step)
        parts = [self._best(items, user_vectors[at : at + step], seen_slots[at : at + step], k) for at in starts]
        slots, scores = (torch.cat(part) if len(parts) > 1 else part[0] for part in zip(*parts, strict=True))
        wanted = user_vectors.any(1, keepdim=True) & (scores > -torch.inf)
        if (limits < k).any():
            wanted &= torch.from_numpy(np.arange(k) < limits).to(items.device)
        return slots * wanted, scores.where(wanted, torch.nan)

    @staticmethod
    def _best(items: ResidentItems, user_vectors: Tensor, seen_slots: Tensor, k: int) -> tuple[Tensor, Tensor]:
        scores = user_vectors @ items.vectors.T
        scores.index_fill_(1, items.hidden, -torch.inf)
        scores.scatter_(1, seen_slots, -torch.inf)
        return top_k(scores, k)
