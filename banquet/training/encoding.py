"""Model inputs of all users and items at once; the same numbers that the gateway and the workers make one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from banquet.training.columns import COUNTED, item_columns, numbers_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from banquet.training.activity import Counters, Log
    from banquet.training.datasets.dataset import Dataset
    from banquet.wire.schema import Feature, FeatureSchema, ItemInputs

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Items:
    """Every catalogue row's inputs as tensors; `numbers` without the activity, which changes. None where a width is 0."""

    index: Tensor
    categories: Tensor | None
    lists: Tensor | None
    numbers: Tensor | None

    @classmethod
    def of(cls, inputs: ItemInputs, profile_numbers: int) -> Items:
        return cls(
            torch.from_numpy(inputs.index),
            *(
                torch.from_numpy(part) if part.shape[1] else None
                for part in (inputs.categories, inputs.lists, np.ascontiguousarray(inputs.numbers[:, :profile_numbers]))
            ),
        )

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Tensor) -> Items:
        return Items(
            self.index[rows], *(None if part is None else part[rows] for part in (self.categories, self.lists, self.numbers))
        )

    def vectors(self, encoder: Callable[..., Tensor], rows: Tensor | None = None) -> Tensor:
        """Vectors of all rows, or of some (any shape; -1 gives zeros). Each different row is encoded once."""
        if rows is None:
            return encoder(self.index, self.categories, self.lists, self.numbers)
        different, place = torch.unique(rows.clamp(min=0), return_inverse=True)
        vectors = self.take(different).vectors(encoder)
        return torch.nn.functional.embedding(place, vectors) * (rows >= 0)[..., None]


@dataclass(frozen=True)
class Activity:
    """The counters that the schema takes, scaled, of any owner at any moment."""

    counters: Counters
    features: tuple[Feature, ...]

    @classmethod
    def of(cls, schema_features: tuple[Feature, ...], view: str, counters: Counters) -> Activity:
        return cls(counters, tuple(feature for feature in schema_features if feature.view == view))

    def at(self, owners: Ints, moments: Ints) -> Floats:
        """[..., A] float32 of the owners before the moments; shapes broadcast."""
        counted = self.counters.before(np.maximum(owners, 0), moments)
        scaled = [feature.numbers(counted[..., COUNTED.index(feature.name)]) for feature in self.features]
        return np.stack(scaled, -1) if scaled else np.zeros((*counted.shape[:-1], 0), np.float32)


@dataclass(frozen=True)
class Users:
    """Every user's inputs but the activity: categories int64 [U, Uc] and profile numbers float32 [U, Up]."""

    categories: Ints
    profile: Floats


def encode_all_items(dataset: Dataset, log: Log, schema: FeatureSchema) -> ItemInputs:
    """Inputs of every item of the dataset, with the activity as it is after all events."""
    counted = log.item_counters.before(np.arange(log.n_items), np.full(log.n_items, len(log)))
    return schema.encode_items(dataset.items["item_id"].to_pylist(), item_columns(dataset, counted))


def encode_all_users(dataset: Dataset, schema: FeatureSchema) -> Users:
    categories = [_codes(f, dataset) for f in schema.user if f.kind == "category"]
    profile = [
        f.numbers(numbers_of(dataset.users[f.name])) for f in schema.user if f.kind == "number" and f.view == "user_profile"
    ]
    n_users = dataset.users.num_rows
    return Users(
        np.stack(categories, 1) if categories else np.zeros((n_users, 0), np.int64),
        np.stack(profile, 1) if profile else np.zeros((n_users, 0), np.float32),
    )


def _codes(feature: Feature, dataset: Dataset) -> Ints:
    known = {text: code for code, text in enumerate(feature.vocabulary, start=1)}
    return np.array([known.get(text, 0) for text in dataset.users[feature.name].to_pylist()], np.int64)
