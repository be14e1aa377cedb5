"""Candidates' scores for each query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import embedding

from handlers.gather import history_of
from handlers.index.index import of_interests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from handlers.engines.engine import Graph
    from handlers.items import ResidentItems

# Users x candidates per run of the graph on a CPU: its activations stay in the cache (8 x 500 at once take a third longer per
# pair than 2 x 500). A GPU takes all at once.
MAX_PAIRS = 1024


class Ranker:
    """The ranking graph on item features that lie beside it: only user rows and row numbers travel."""

    def __init__(self, ranker: Graph) -> None:
        self._ranker = ranker

    def scores(
        self,
        items: ResidentItems,
        history: Tensor,
        arrays: Mapping[str, NDArray[Any]],
        candidates: Tensor,
        retrieval_scores: Tensor,
    ) -> Tensor:
        """Scores [B, C] of candidates [B, C]; NaN where one is 0.

        `history` [B, L] and `candidates` are slots; `user_categories` and `user_numbers` are of `arrays`.
        """
        assert items.features is not None, "a worker that ranks holds the ranking features"
        if not candidates.shape[1]:
            return retrieval_scores
        values, mask = history_of(items.features, history)
        feeds = {
            "user_categories": torch.from_numpy(arrays["user_categories"].astype(np.int64)).to(items.device),
            "user_numbers": torch.from_numpy(arrays["user_numbers"].astype(np.float32)).to(items.device),
            "history": values,
            "mask": mask,
            "candidates": candidates,
            "retrieval_scores": retrieval_scores,
        }
        step = max(1, MAX_PAIRS // candidates.shape[1]) if items.device.type == "cpu" else len(candidates)
        if len(candidates) <= step:
            scores = self._run(items.features, feeds)
        else:
            parts = [{name: tensor[at : at + step] for name, tensor in feeds.items()} for at in range(0, len(candidates), step)]
            scores = torch.cat([self._run(items.features, part) for part in parts])
        return scores.where(candidates > 0, torch.nan)

    def _run(self, features: Tensor, feeds: Mapping[str, Tensor]) -> Tensor:
        (scores,) = self._ranker.run({**feeds, "candidates": embedding(feeds["candidates"], features)}).values()
        return scores


def retrieval_scores(items: ResidentItems, users: Tensor, slots: Tensor) -> Tensor:
    """The retrieval model's score of given candidates, [B, C], for users [B, M, d]; 0 where a slot is 0."""
    return of_interests((embedding(slots, items.vectors) @ users.mT).mT, users)
