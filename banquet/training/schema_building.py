"""The feature schema, learned from the training part of a dataset: vocabularies, means and scales."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from banquet.training.columns import COUNTED, item_columns, kind_of, numbers_of
from banquet.training.served_features import refuse_misfits
from banquet.wire.schema import Feature, FeatureSchema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from banquet.training.activity import Log
    from banquet.training.datasets.dataset import Dataset
    from banquet.training.served_features import ServedFeatures
    from banquet.training.split import Split
    from banquet.wire.catalogue_file import Column

# The commonest values of a category that get a code of their own; the rest is unknown. A list takes a model input per value.
LARGEST_VOCABULARY = 1000
LARGEST_LIST_VOCABULARY = 200
# A value seen once tells nothing about the next one.
FEWEST_HOLDERS = 2


def build_schema(
    dataset: Dataset, log: Log, split: Split, history_length: int, served: ServedFeatures | None = None
) -> FeatureSchema:
    """What the models will take. Features that never vary are left out; lists of categories of users are not supported.

    served: the features that serving will have; by default all. Raises `BadData` where one is of another kind there.
    """
    trained = np.concatenate([np.arange(a, b) for a, b in zip(log.starts[:-1], split.train_end, strict=True)])
    users = [_user_feature(name, dataset.users[name]) for name in dataset.user_features]
    items = [
        _item_feature(name, column)
        for name, column in item_columns(dataset, np.zeros((log.n_items, len(COUNTED)), np.float32)).items()
        if column.view == "item_profile"
    ]
    user_counts = log.user_counters.before(log.user[trained], log.moments[trained])
    item_counts = log.item_counters.before(log.item[trained], log.moments[trained])
    known = np.unique(log.item[_retrieval_part(log, split)])
    ids = dataset.items["item_id"].combine_chunks().take(pa.array(known)).to_pylist()
    return FeatureSchema(
        _taken(users + _counted("user_activity", user_counts), None if served is None else served.user),
        _taken(items + _counted("item_activity", item_counts), None if served is None else served.item),
        history_length,
        tuple(ids),
    )


def _retrieval_part(log: Log, split: Split) -> NDArray[np.bool_]:
    return np.arange(len(log)) < split.retrieval_end[log.user]


def _user_feature(name: str, values: pa.ChunkedArray) -> Feature:
    kind = kind_of(values.type)
    if kind == "number":
        return _number(name, "user_profile", numbers_of(values))
    texts = [] if kind == "categories" else pc.drop_null(values).to_pylist()
    return Feature(name, "user_profile", kind, _vocabulary(texts, LARGEST_VOCABULARY))


def _item_feature(name: str, column: Column) -> Feature:
    if column.kind == "number":
        return _number(name, column.view, column.values.astype(np.float64))
    assert column.vocabulary is not None, "text columns have a vocabulary"
    names = np.array(column.vocabulary.to_list(), object)
    limit = LARGEST_VOCABULARY if column.kind == "category" else LARGEST_LIST_VOCABULARY
    return Feature(name, column.view, column.kind, _vocabulary(names[column.values[column.values >= 0]], limit))


def _counted(view: str, counted: NDArray[np.float32]) -> list[Feature]:
    return [
        _number(name, view, counted[:, position].astype(np.float64), log=name.endswith("_count"))
        for position, name in enumerate(COUNTED)
    ]


def _number(name: str, view: str, values: NDArray[np.float64], *, log: bool = False) -> Feature:
    known = values[~np.isnan(values)]
    known = np.log1p(np.maximum(known, 0.0)) if log else known
    if not len(known) or known.std() == 0.0:
        return Feature(name, view, "number", scale=0.0)
    return Feature(name, view, "number", mean=float(known.mean()), scale=float(known.std()), log=log)


def _vocabulary(texts: Iterable[str], limit: int) -> tuple[str, ...]:
    held = [(-count, text) for text, count in Counter(texts).items() if count >= FEWEST_HOLDERS]
    return tuple(text for _, text in sorted(held)[:limit])


def _taken(features: Iterable[Feature], served: Mapping[str, str] | None) -> tuple[Feature, ...]:
    telling = tuple(feature for feature in features if _tells(feature))
    if served is None:
        return telling
    taken = tuple(feature for feature in telling if feature.name in served)
    refuse_misfits(taken, served)
    return taken


def _tells(feature: Feature) -> bool:
    return feature.scale != 0.0 if feature.kind == "number" else bool(feature.vocabulary)
