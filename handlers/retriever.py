"""From histories to the best items of a catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from handlers.gather import history_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from handlers.engines.engine import Graph
    from handlers.index.keeper import IndexKeeper
    from handlers.items import ResidentItems


class Retriever:
    """History encoder, then the index that serves the catalogue's version."""

    def __init__(self, history_encoder: Graph, indexes: IndexKeeper) -> None:
        self._history_encoder = history_encoder
        self._indexes = indexes

    def user_vectors(self, items: ResidentItems, history: Tensor) -> Tensor:
        """Slots of histories [B, L] -> [B, M, d], as many vectors per user as the encoder gives; zeros without history."""
        values, mask = history_of(items.vectors, history)
        (vectors,) = self._history_encoder.run({"history": values, "mask": mask}).values()
        return vectors.reshape(len(vectors), -1, items.vectors.shape[1]) * mask.any(1)[:, None, None]

    def best(
        self,
        items: ResidentItems,
        user_vectors: Tensor,
        seen: NDArray[np.int32],
        limits: NDArray[np.int32],
        words: NDArray[np.int32] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The slots of the `limits` [B, 1] best items per user and their scores, [B, K], best first, then 0 and NaN.

        Left out are rows in `seen` [B, S], items not available and, where there are `words`, rows whose bits are not set in
        them; a user with nothing but zeros has no best.
        """
        allowed = None if words is None else items.slots_allowed(words)
        most = len(items) if allowed is None else max(map(len, allowed))
        k = int(np.clip(limits.max(), 0, most))
        slots, scores = self._indexes.of(items).best(items, user_vectors, items.slots_of(seen), k, allowed)
        wanted = user_vectors.flatten(1).any(1, keepdim=True) & (scores > -torch.inf)
        if (limits < k).any():
            wanted &= torch.from_numpy(np.arange(k) < limits).to(items.device)
        return slots * wanted, scores.where(wanted, torch.nan)


def as_vectors(items: ResidentItems, flat: NDArray[np.float32]) -> Tensor:
    """Users' vectors as they travel, [B, M * d] -> [B, M, d]."""
    users = torch.from_numpy(flat.astype(np.float32)).to(items.device)
    return users.view(len(users), -1, items.vectors.shape[1])
