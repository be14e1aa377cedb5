"""What a person wants to see of a dataset first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from banquet.training.datasets.dataset import Dataset


def most_popular(dataset: Dataset, rows: int) -> list[dict[str, str | int]]:
    """The items with the most interactions, ties by id: item_id, title (where there is one) and interactions."""
    counts = pc.value_counts(dataset.interactions["item_id"].combine_chunks())
    table = pa.table({"item_id": counts.field("values"), "interactions": counts.field("counts")})
    table = table.sort_by([("interactions", "descending"), ("item_id", "ascending")]).slice(0, rows)
    if "title" in dataset.items.column_names:
        where = pc.index_in(table["item_id"], dataset.items["item_id"])
        table = table.add_column(1, "title", dataset.items["title"].take(where))
    return [{key: "" if value is None else value for key, value in row.items()} for row in table.to_pylist()]
