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

# Users x candidates per run of the graph: its activations stay in the cache (32 x 500 at once take a quarter longer per pair).
MAX_PAIRS = 2048


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
        queries = {
            "user_categories": arrays["user_categories"].astype(np.int64),
            "user_numbers": arrays["user_numbers"],
            "history": history,
            "mask": mask,
            "retrieval_scores": retrieval_scores,
        }
        scores = np.empty(rows.shape, np.float32)
        step = max(1, MAX_PAIRS // rows.shape[1])
        for at in range(0, len(rows), step):
            part = slice(at, at + step)
            feeds = {name: array[part] for name, array in queries.items()}
            (scores[part],) = self._ranker.run({**feeds, "candidates": np.take(items.features, rows[part], axis=0)}).values()
        scores[rows < 0] = np.nan
        return scores


def retrieval_scores(items: ResidentItems, user_vectors: NDArray[np.float32], rows: NDArray[np.int32]) -> NDArray[np.float32]:
    """The retrieval model's dot product for given candidates, [B, C]; 0 where a row is -1."""
    vectors = np.take(items.vectors, rows, axis=0)
    return (vectors @ user_vectors[:, :, None])[:, :, 0]
