"""From histories to the best items of a catalogue, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from handlers.gather import history_of
from handlers.topk import top_k

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from handlers.engines.engine import Graph
    from handlers.items import ResidentItems

# Scores held at a time (users x items): bounds the memory of a large batch over a large catalogue.
MAX_SCORES = 2**25


class Retriever:
    """History encoder, then the dot product with every item (by torch, whose threads are bounded) and a top-k."""

    def __init__(self, history_encoder: Graph) -> None:
        self._history_encoder = history_encoder

    def user_vectors(self, items: ResidentItems, history: NDArray[np.int32]) -> NDArray[np.float32]:
        """History rows [B, L] -> [B, d]; zeros for a user without history."""
        values, mask = history_of(items.vectors, history)
        (vectors,) = self._history_encoder.run({"history": values, "mask": mask}).values()
        return np.where(mask.any(axis=1, keepdims=True), vectors, np.float32(0.0))

    def best(
        self, items: ResidentItems, user_vectors: NDArray[np.float32], seen: NDArray[np.int32], limits: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The `limits` [B, 1] best rows per user and their scores, [B, K], best first, then -1 and NaN.

        Left out are rows in `seen` [B, S] and items not available; a user with a zero vector has no best.
        """
        k = int(np.clip(limits.max(), 0, len(items)))
        step = max(1, MAX_SCORES // len(items.vectors))
        parts = [self._best(items, user_vectors[at : at + step], seen[at : at + step], k) for at in range(0, len(seen), step)]
        rows, scores = (np.concatenate(part) if len(parts) > 1 else part[0] for part in zip(*parts, strict=True))
        missing = np.isneginf(scores) | (np.arange(k) >= limits) | ~user_vectors.any(axis=1, keepdims=True)
        rows[missing] = -1
        scores[missing] = np.nan
        return rows, scores

    @staticmethod
    def _best(
        items: ResidentItems, user_vectors: NDArray[np.float32], seen: NDArray[np.int32], k: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        table = (torch.from_numpy(user_vectors) @ torch.from_numpy(items.vectors).T).numpy()
        table[:, items.withheld] = -np.inf
        # Padding is -1, the last column: the row of zeros, which is no item.
        table[np.arange(len(table))[:, None], seen] = -np.inf
        table[:, -1] = -np.inf
        return top_k(table, k)
