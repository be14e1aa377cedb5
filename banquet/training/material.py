"""What there is to learn from: a dataset's log, split and model inputs under one schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from banquet.training.encoding import Activity, Items, encode_all_items, encode_all_users
from banquet.training.moments import Moments

if TYPE_CHECKING:
    from banquet.training.activity import Log
    from banquet.training.datasets.dataset import Dataset
    from banquet.training.split import Split
    from banquet.wire.schema import FeatureSchema, ItemInputs


@dataclass(frozen=True)
class Material:
    """`inputs` are every item's, with the activity as it is now; `items` are the same as tensors, without it."""

    dataset: Dataset
    log: Log
    split: Split
    schema: FeatureSchema
    inputs: ItemInputs
    items: Items

    @classmethod
    def of(cls, dataset: Dataset, log: Log, split: Split, schema: FeatureSchema) -> Material:
        inputs = encode_all_items(dataset, log, schema)
        profile_numbers = sum(f.kind == "number" and f.view == "item_profile" for f in schema.item)
        return cls(dataset, log, split, schema, inputs, Items.of(inputs, profile_numbers))

    def moments(self) -> Moments:
        return Moments(
            self.log,
            self.items,
            encode_all_users(self.dataset, self.schema),
            Activity.of(self.schema.user, "user_activity", self.log.user_counters),
            Activity.of(self.schema.item, "item_activity", self.log.item_counters),
            self.schema.history_length,
        )
