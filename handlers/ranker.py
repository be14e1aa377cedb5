"""Candidates' scores for each query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from handlers.gather import history_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from handlers.engines.engine import Graph
    from handlers.items import ResidentItems


class Ranker:
    """The ranking graph on item features that lie beside it: only user rows and row numbers travel."""

    def __init__(self, ranker: Graph) -> None:
        self._ranker = ranker

    def scores(
        self,
        items: ResidentItems,
        arrays: Mapping[str, NDArray[Any]],
        rows: NDArray[np.int32],
        retrieval_scores: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """`history`, `user_categories` and `user_numbers` of `arrays`, candidates [B, C] -> [B, C]; NaN where a row is -1."""
        assert items.features is not None, "a worker that ranks holds the ranking features"
        if not rows.shape[1]:
            return np.empty(rows.shape, np.float32)
        history, mask = history_of(items.features, arrays["history"])
        feeds = {
            "user_categories": arrays["user_categories"].astype(np.int64),
            "user_numbers": arrays["user_numbers"],
            "history": history,
            "mask": mask,
            "candidates": np.take(items.features, rows, axis=0),
            "retrieval_scores": retrieval_scores,
        }
        (scores,) = self._ranker.run(feeds).values()
        return np.where(rows >= 0, scores, np.float32(np.nan))


def retrieval_scores(items: ResidentItems, user_vectors: NDArray[np.float32], rows: NDArray[np.int32]) -> NDArray[np.float32]:
    """The retrieval model's dot product for given candidates, [B, C]; 0 where a row is -1."""
    vectors = np.take(items.vectors, rows, axis=0)
    return (vectors @ user_vectors[:, :, None])[:, :, 0]
