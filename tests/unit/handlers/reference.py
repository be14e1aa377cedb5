"""What the handlers should answer, computed plainly: the torch modules, one query at a time, loops and a sort."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from banquet.wire.catalogue_file import read_catalogue
from tests.release_factory import make_modules, make_schema

if TYPE_CHECKING:
    from pathlib import Path


class Reference:
    def __init__(self, folder: Path, version: str, items: int, interests: int = 1) -> None:
        self.modules = make_modules(items, interests=interests)
        self.interests = interests
        catalogue = read_catalogue(folder, version)
        self.available = catalogue.columns["available"].values
        encoded = make_schema(items).encode_items(catalogue.ids.to_list(), catalogue.columns)
        inputs = [torch.from_numpy(array) for array in (encoded.index, encoded.categories, encoded.lists, encoded.numbers)]
        with torch.no_grad():
            self.vectors = self.modules["item_encoder"](*inputs)
            self.features = self.modules["ranker_items"](*inputs)

    @torch.no_grad()
    def user_vector(self, history: list[int]) -> torch.Tensor:
        """One vector, or as many as the user has interests, one behind the other."""
        if not history:
            return torch.zeros(self.interests * self.vectors.shape[1])
        return self.modules["history_encoder"](self.vectors[history][None], torch.ones(1, len(history))).flatten()

    def affinity(self, history: list[int]) -> torch.Tensor:
        """The retrieval score of every item: the largest of the products with the user's vectors."""
        return (self.vectors @ self.user_vector(history).view(self.interests, -1).T).amax(1)

    def retrieval(self, history: list[int], seen: list[int], limit: int) -> tuple[list[int], list[float]]:
        """The best rows and their scores."""
        if not history:
            return [], []
        scores = self.affinity(history).tolist()
        allowed = [row for row in range(len(scores)) if self.available[row] and row not in seen]
        best = sorted(allowed, key=lambda row: -scores[row])[:limit]
        return best, [scores[row] for row in best]

    @torch.no_grad()
    def ranking(self, history: list[int], categories: list[int], numbers: list[float], rows: list[int]) -> list[float]:
        """The ranking scores of given rows."""
        if not rows:
            return []
        # The ranker has no notion of an empty history: it is one step of padding.
        features = self.features[history][None] if history else torch.zeros(1, 1, self.features.shape[1])
        affinity = self.affinity(history)[rows]
        scores = self.modules["ranker"](
            torch.tensor([categories]),
            torch.tensor([numbers]),
            features,
            torch.full((1, features.shape[1]), float(bool(history))),
            self.features[rows][None],
            affinity[None],
        )
        return scores[0].tolist()


def stacked(lists: list[list[int]], width: int | None = None, *, left: bool = False) -> np.ndarray:
    """Row numbers of several queries as one int32 array, padded with -1."""
    width = max(map(len, lists)) if width is None else width
    padded = np.full((len(lists), width), -1, np.int32)
    for place, rows in enumerate(lists):
        if rows:
            padded[place, slice(width - len(rows), None) if left else slice(len(rows))] = rows
    return padded


def some_queries(count: int, items: int, seed: int = 0) -> list[dict]:
    """Queries with histories of every length (the first has none), and some more they have seen."""
    rng = np.random.default_rng(seed)
    queries = []
    for number in range(count):
        history = rng.choice(items, number % 9, replace=False).tolist()
        seen = history + rng.choice(items, int(rng.integers(0, 6)), replace=False).tolist()
        queries.append(
            {
                "history": history,
                "seen": seen,
                "limit": int(rng.integers(1, 30)),
                "user_categories": [int(rng.integers(0, 3))],
                "user_numbers": rng.normal(size=2).astype(np.float32).tolist(),
                "rows": rng.choice(items, int(rng.integers(1, 20)), replace=False).tolist(),
            }
        )
    return queries


def job_of(queries: list[dict], length: int | None = 8) -> dict[str, np.ndarray]:
    """The arrays that retrieval and cascade take."""
    return {
        "history": stacked([query["history"] for query in queries], length, left=True),
        "seen": stacked([query["seen"] for query in queries]),
        "limit": np.array([[query["limit"]] for query in queries], np.int32),
        "user_categories": np.array([query["user_categories"] for query in queries], np.int32),
        "user_numbers": np.array([query["user_numbers"] for query in queries], np.float32),
    }
