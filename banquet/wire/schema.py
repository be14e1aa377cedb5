"""The feature schema of a release: how raw feature values become model inputs, the same in training, gateway and worker.

Categories become codes (0 = unknown or missing, then the vocabulary in order). Numbers become `(f(value) - mean) / scale`, where
f is log1p for `log` features; missing numbers become 0, the mean. Lists of categories become counts per vocabulary entry divided
by their sum.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from banquet.wire.catalogue_file import Column, Kind


_LARGEST = float(np.finfo(np.float32).max)


class SchemaMismatch(ValueError):
    """The catalogue does not have what the release was trained on; the text names the feature."""


ACTIVITY = "user_activity"


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature as the models know it."""

    name: str
    view: str
    kind: Kind
    vocabulary: tuple[str, ...] = ()
    mean: float = 0.0
    scale: float = 1.0
    log: bool = False

    def number(self, value: object) -> float:
        """One raw number as the model's input; 0.0 when missing, not a number or beyond float32."""
        if not isinstance(value, (int, float)) or math.isnan(value):
            return 0.0
        scaled = ((math.log1p(max(value, 0.0)) if self.log else float(value)) - self.mean) / self.scale
        return scaled if abs(scaled) <= _LARGEST else 0.0

    def numbers(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """`number` of many values at once, NaN where missing."""
        raw = values.astype(np.float64)
        with np.errstate(over="ignore"):
            scaled = ((np.log1p(np.maximum(raw, 0.0)) if self.log else raw) - self.mean) / self.scale
        return np.where(np.abs(scaled) <= _LARGEST, scaled, 0.0).astype(np.float32)


@dataclass(frozen=True, slots=True)
class ItemInputs:
    """Model inputs of N items: `index` int64 [N] (0 = not in training), `categories` int64 [N, Ic], `lists` float32 [N, Il] (all
    list features side by side), `numbers` float32 [N, In].
    """

    index: NDArray[np.int64]
    categories: NDArray[np.int64]
    lists: NDArray[np.float32]
    numbers: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class UserInputs:
    """Model inputs of one user: `categories` int32 [Uc], `numbers` float32 [Un], and the names of `missing` features."""

    categories: NDArray[np.int32]
    numbers: NDArray[np.float32]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class FeatureSchema:
    """What a release's models take: user and item features, the history's length and the items known in training.

    `item_ids[k]` is the item with index k + 1.
    """

    user: tuple[Feature, ...]
    item: tuple[Feature, ...]
    history_length: int
    item_ids: tuple[str, ...]

    def encode_user(self, values: Mapping[str, object]) -> UserInputs:
        """Raw values by feature name, None or absent when missing."""
        categories = [self._user_code(f, values.get(f.name)) for f in self.user if f.kind == "category"]
        numbers = [f.number(values.get(f.name)) for f in self.user if f.kind == "number"]
        missing = tuple(feature.name for feature in self.user_gaps(values))
        return UserInputs(np.array(categories, np.int32), np.array(numbers, np.float32), missing)

    def user_gaps(self, values: Mapping[str, object]) -> list[Feature]:
        """The features whose default stands in, also for what is no number where one is wanted. A null activity is no gap: who
        never rated has no mean rating.
        """
        return [f for f in self.user if _is_gap(f, values.get(f.name)) and (f.view != ACTIVITY or f.name not in values)]

    def encode_items(
        self, ids: Sequence[str], columns: Mapping[str, Column], rows: NDArray[np.int64] | None = None
    ) -> ItemInputs:
        """Inputs of every item of a catalogue, in its order; of some `rows` alone when given, `ids` being theirs.

        Raises `SchemaMismatch` naming a missing or wrong column.
        """
        index = np.fromiter((self._item_index.get(item, 0) for item in ids), np.int64, len(ids))
        found = [(feature, self._column(feature, columns)) for feature in self.item]
        if rows is not None:
            found = [(feature, column.take(rows)) for feature, column in found]
        categories = [_codes(f, column) for f, column in found if f.kind == "category"]
        lists = [_shares(f, column, len(ids)) for f, column in found if f.kind == "categories"]
        numbers = [f.numbers(column.values) for f, column in found if f.kind == "number"]
        return ItemInputs(
            index,
            np.stack(categories, 1) if categories else np.zeros((len(ids), 0), np.int64),
            np.concatenate(lists, 1) if lists else np.zeros((len(ids), 0), np.float32),
            np.stack(numbers, 1) if numbers else np.zeros((len(ids), 0), np.float32),
        )

    def check_items(self, columns: Mapping[str, Column]) -> None:
        """Raises `SchemaMismatch` naming a missing or wrong column of a catalogue."""
        for feature in self.item:
            self._column(feature, columns)

    def to_json(self) -> dict[str, Any]:
        """Without `item_ids`, which a release keeps in a file of their own."""
        return {
            "user": [asdict(feature) for feature in self.user],
            "item": [asdict(feature) for feature in self.item],
            "history_length": self.history_length,
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any], item_ids: Sequence[str]) -> FeatureSchema:
        def features(entries: Sequence[Mapping[str, Any]]) -> tuple[Feature, ...]:
            return tuple(Feature(**{**entry, "vocabulary": tuple(entry["vocabulary"])}) for entry in entries)

        return cls(features(body["user"]), features(body["item"]), int(body["history_length"]), tuple(item_ids))

    def _user_code(self, feature: Feature, value: object) -> int:
        # A missing value is none of the vocabulary, though somebody's plans may be called None.
        return 0 if value is None else self._user_codes[feature.name].get(str(value), 0)

    @cached_property
    def _user_codes(self) -> dict[str, dict[str, int]]:
        return {f.name: {text: k + 1 for k, text in enumerate(f.vocabulary)} for f in self.user if f.kind == "category"}

    @cached_property
    def _item_index(self) -> dict[str, int]:
        return {item: k + 1 for k, item in enumerate(self.item_ids)}

    @staticmethod
    def _column(feature: Feature, columns: Mapping[str, Column]) -> Column:
        column = columns.get(feature.name)
        if column is None:
            raise SchemaMismatch(
                f"feature {feature.name!r} of view {feature.view!r} is not in the catalogue; has: {sorted(columns)}"
            )
        if column.kind != feature.kind:
            raise SchemaMismatch(
                f"feature {feature.name!r} is a {column.kind} in the catalogue, the release wants a {feature.kind}"
            )
        return column


def _is_gap(feature: Feature, value: object) -> bool:
    return value is None or (feature.kind == "number" and not isinstance(value, (int, float)))


def _translation(feature: Feature, column: Column) -> NDArray[np.int64]:
    """Catalogue code -> model code; the last entry serves code -1 (missing)."""
    known = {text: k + 1 for k, text in enumerate(feature.vocabulary)}
    names = column.vocabulary.to_list() if column.vocabulary is not None else []
    return np.array([known.get(name, 0) for name in names] + [0], np.int64)


def _codes(feature: Feature, column: Column) -> NDArray[np.int64]:
    codes: NDArray[np.int64] = _translation(feature, column)[column.values]
    return codes


def _shares(feature: Feature, column: Column, n_items: int) -> NDArray[np.float32]:
    assert column.offsets is not None, "a categories column has offsets"
    codes = _translation(feature, column)[column.values]
    item = np.repeat(np.arange(n_items), np.diff(column.offsets))
    counts = np.zeros((n_items, len(feature.vocabulary) + 1), np.float32)
    np.add.at(counts, (item, codes), 1.0)
    shares: NDArray[np.float32] = counts[:, 1:] / np.maximum(counts.sum(1, keepdims=True), 1.0)
    return shares
