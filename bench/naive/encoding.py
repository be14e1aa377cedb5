"""From what Feast returns to what the models take: plain loops over the columns of `to_dict()`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from banquet.wire.schema import Feature, FeatureSchema

    Array = NDArray[Any]
    Rows = Mapping[str, Sequence[Any]]


class Encoder:
    """Knows the release's schema: vocabularies, scales and the index of every item known in training."""

    def __init__(self, schema: FeatureSchema) -> None:
        self._schema = schema
        self._index = {item: k + 1 for k, item in enumerate(schema.item_ids)}
        self._codes = {
            (feature.view, feature.name): {text: k + 1 for k, text in enumerate(feature.vocabulary)}
            for feature in (*schema.user, *schema.item)
        }

    def user(self, row: Rows) -> dict[str, Array]:
        """One user: categories int64 [1, Uc], numbers float32 [1, Un]."""
        categories = [self._category(f, row[f.name]) for f in self._schema.user if f.kind == "category"]
        numbers = [self._number(f, row[f.name]) for f in self._schema.user if f.kind == "number"]
        return {
            "user_categories": np.stack(categories, 1) if categories else np.zeros((1, 0), np.int64),
            "user_numbers": np.stack(numbers, 1) if numbers else np.zeros((1, 0), np.float32),
        }

    def items(self, rows: Rows) -> dict[str, Array]:
        """N items: index int64 [N], categories int64 [N, Ic], lists float32 [N, Il], numbers float32 [N, In]."""
        ids = rows["item_id"]
        categories = [self._category(f, rows[f.name]) for f in self._schema.item if f.kind == "category"]
        lists = [self._shares(f, rows[f.name]) for f in self._schema.item if f.kind == "categories"]
        numbers = [self._number(f, rows[f.name]) for f in self._schema.item if f.kind == "number"]
        return {
            "index": np.array([self._index.get(item, 0) for item in ids], np.int64),
            "categories": np.stack(categories, 1) if categories else np.zeros((len(ids), 0), np.int64),
            "lists": np.concatenate(lists, 1) if lists else np.zeros((len(ids), 0), np.float32),
            "numbers": np.stack(numbers, 1) if numbers else np.zeros((len(ids), 0), np.float32),
        }

    def _category(self, feature: Feature, values: Sequence[Any]) -> Array:
        codes = self._codes[feature.view, feature.name]
        return np.array([codes.get(str(value), 0) for value in values], np.int64)

    def _number(self, feature: Feature, values: Sequence[Any]) -> Array:
        return np.array([feature.number(value) for value in values], np.float32)

    def _shares(self, feature: Feature, values: Sequence[Any]) -> Array:
        codes = self._codes[feature.view, feature.name]
        counts = np.zeros((len(values), len(codes) + 1), np.float32)
        for row, texts in enumerate(values):
            for text in texts or ():
                counts[row, codes.get(text, 0)] += 1.0
        shares: Array = counts[:, 1:] / np.maximum(counts.sum(1, keepdims=True), 1.0)
        return shares
