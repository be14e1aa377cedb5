"""The dataset's item features as catalogue columns, so that training encodes items with the very code that serving uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from banquet.wire.catalogue_file import Column, Strings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from banquet.training.datasets.dataset import Dataset
    from banquet.wire.catalogue_file import Kind

COUNTED = ("interaction_count", "rating_count", "rating_mean")


def kind_of(column: pa.DataType) -> Kind:
    if pa.types.is_list(column):
        return "categories"
    return "category" if pa.types.is_string(column) else "number"


def item_columns(dataset: Dataset, counted: NDArray[np.float32]) -> dict[str, Column]:
    """Every item feature as the catalogue has it. counted [N, 3] are the item counters of the wanted moment."""
    columns = {name: _column(dataset.items[name], "item_profile") for name in dataset.item_features}
    for position, name in enumerate(COUNTED):
        columns[name] = Column("number", "item_activity", counted[:, position])
    return columns


def numbers_of(values: pa.ChunkedArray) -> NDArray[np.float64]:
    """A user's or item's numbers as float64 [N]; NaN where missing."""
    filled = pc.fill_null(values.cast(pa.float64()), float("nan"))
    numbers: NDArray[np.float64] = filled.to_numpy().astype(np.float64)
    return numbers


def _column(values: pa.ChunkedArray, view: str) -> Column:
    kind = kind_of(values.type)
    if kind == "number":
        if pa.types.is_floating(values.type):
            return Column(kind, view, numbers_of(values))
        # A catalogue has no missing whole numbers: they are zero there, so they are zero here.
        return Column(kind, view, np.nan_to_num(numbers_of(values)))
    whole = values.combine_chunks()
    if kind == "category":
        codes, vocabulary = _coded(whole)
        return Column(kind, view, codes, vocabulary)
    lengths = pc.fill_null(pc.list_value_length(whole), 0).to_numpy()
    codes, vocabulary = _coded(whole.flatten())
    return Column(kind, view, codes, vocabulary, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def _coded(texts: pa.Array) -> tuple[NDArray[np.int32], Strings]:
    encoded = texts.dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int32)
    return codes, Strings.of(encoded.dictionary.to_pylist())
