"""The features that a Feast repo serves, and a dataset's columns under the repo's types instead of the file's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from banquet.core.errors import BadData
from banquet.training.columns import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from banquet.training.datasets.dataset import Dataset
    from banquet.wire.catalogue_file import Kind
    from banquet.wire.schema import Feature, FeatureSchema

# Feast's value types of what models take.
_ARROW_TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys(("INT32", "INT64", "UNIX_TIMESTAMP"), pa.int64()),
    **dict.fromkeys(("FLOAT", "DOUBLE"), pa.float64()),
    "BOOL": pa.bool_(),
    "STRING": pa.string(),
    "STRING_LIST": pa.list_(pa.string()),
}
_IN_WORDS: dict[Kind, str] = {
    "number": "a number",
    "category": "text",
    "categories": "a list of texts",
    "numbers": "a list of numbers",
}


@dataclass(frozen=True, slots=True)
class ServedFeatures:
    """The features of users and of items that the online store will have: their names, and how Feast calls their types."""

    user: Mapping[str, str]
    item: Mapping[str, str]


def as_served(dataset: Dataset, served: ServedFeatures) -> Dataset:
    """The dataset with its features under the types of the repo, where every value can be: 7 as "7", "007" as 7.

    Columns that cannot follow stay; `refuse_misfits` names them.
    """
    return replace(dataset, users=_followed(dataset.users, served.user), items=_followed(dataset.items, served.item))


def followed(before: Dataset, after: Dataset, served: ServedFeatures) -> list[str]:
    """What a person should know of `as_served`: numbers that are taken as texts, and texts that are taken as numbers."""
    notes = []
    for old, new, types in ((before.users, after.users, served.user), (before.items, after.items, served.item)):
        for name in old.column_names:
            found, taken = kind_of(old.schema.field(name).type), kind_of(new.schema.field(name).type)
            if found != taken:
                example = next((value for value in new[name].to_pylist() if value is not None), None)
                notes.append(
                    f"feature {name!r} is {_IN_WORDS[found]} in the data and {types[name]} in the repo: taken as"
                    f" {_IN_WORDS[taken]}, such as {example!r}"
                )
    return notes


def as_trained(dataset: Dataset, schema: FeatureSchema) -> Dataset:
    """The dataset with its features of the kinds that a release was trained on."""
    texts, numbers = "STRING", "DOUBLE"

    def wanted(table: pa.Table, features: Iterable[Feature]) -> dict[str, str]:
        known = [feature for feature in features if feature.name in table.column_names]
        other = [feature for feature in known if feature.kind != kind_of(table.schema.field(feature.name).type)]
        return {feature.name: numbers if feature.kind == "number" else texts for feature in other}

    return as_served(dataset, ServedFeatures(wanted(dataset.users, schema.user), wanted(dataset.items, schema.item)))


def refuse_misfits(features: Iterable[Feature], served: Mapping[str, str]) -> None:
    """Raises `BadData` for a feature that the repo serves as another kind of value: no release with it could be served."""
    for feature in features:
        kind = served[feature.name]
        wanted = _ARROW_TYPES.get(kind)
        if wanted is not None and kind_of(wanted) == feature.kind:
            continue
        told = f"feature {feature.name!r} is {_IN_WORDS[feature.kind]} in the data, and the repo serves it as {kind}"
        leave_out = f"leave it out: banquet data import --leave-out {feature.name}"
        if wanted is None:
            raise BadData(f"{told}, which models do not take; {leave_out}")
        is_list, should_be = feature.kind == "categories", kind.endswith("_LIST")
        if is_list != should_be:
            again = "import the data again with" if should_be else "import the data again without it among"
            raise BadData(f"{told}; {again} --lists {feature.name}")
        raise BadData(f"{told}; give both the same type and import the data again, or {leave_out}")


def _followed(table: pa.Table, served: Mapping[str, str]) -> pa.Table:
    for place, name in enumerate(table.column_names):
        wanted = _ARROW_TYPES.get(served.get(name, ""))
        if wanted is not None and _may_follow(table.schema.field(name).type, wanted):
            table = table.set_column(place, name, _cast(table[name], wanted))
    return table


def _may_follow(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Decimals are written in many ways: which text of one the store has cannot be known."""
    if pa.types.is_string(wanted):
        return bool(pa.types.is_integer(found))
    if pa.types.is_boolean(wanted):
        return bool(pa.types.is_string(found))
    if pa.types.is_boolean(found) or pa.types.is_list(found) or pa.types.is_list(wanted):
        return False
    return not (pa.types.is_floating(found) and pa.types.is_floating(wanted))


def _cast(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """The column itself where a value does not fit."""
    known = column
    if pa.types.is_floating(column.type):
        known = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    try:
        return known.cast(wanted)
    except pa.ArrowInvalid:
        return column
