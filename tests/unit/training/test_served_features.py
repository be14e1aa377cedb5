"""A dataset under the types of the repo that serves it."""

from dataclasses import replace

import pyarrow as pa
import pytest

from banquet.core.errors import BadData
from banquet.training.activity import read_log
from banquet.training.datasets.dataset import Dataset
from banquet.training.encoding import encode_all_items, encode_all_users
from banquet.training.schema_building import build_schema
from banquet.training.served_features import ServedFeatures, as_served, as_trained, followed
from banquet.training.split import split_by_time


def having(dataset: Dataset, values: pa.Array, name: str = "brand") -> Dataset:
    return replace(dataset, items=dataset.items.append_column(name, values))


@pytest.mark.parametrize(
    ("values", "served", "followed"),
    [
        (pa.array([7, 12, None, 7, 7, 12]), "STRING", ["7", "12", None, "7", "7", "12"]),
        (pa.array(["007", "012", None, "007", "007", "012"]), "INT64", [7, 12, None, 7, 7, 12]),
        (pa.array(["007", "012", None, "007", "007", "012"]), "STRING", ["007", "012", None, "007", "007", "012"]),
        (pa.array(["1.5", "2", None, "2", "2", "2"]), "DOUBLE", [1.5, 2.0, None, 2.0, 2.0, 2.0]),
        (pa.array(["true", "false", None, "1", "0", "true"]), "BOOL", [True, False, None, True, False, True]),
        # What is missing reads 0 in a whole number and as the mean in a decimal.
        (pa.array([7, 12, None, 7, 7, 12]), "FLOAT", [7.0, 12.0, None, 7.0, 7.0, 12.0]),
        (pa.array([7.0, 12.0, float("nan"), None, 7.0, 12.0]), "INT64", [7, 12, None, None, 7, 12]),
        (pa.array([7.5, 12.0, None, 7.0, 7.0, 12.0]), "INT64", [7.5, 12.0, None, 7.0, 7.0, 12.0]),
        (pa.array([2**60 + 1] * 6), "DOUBLE", [2**60 + 1] * 6),
        (pa.array(["a", "12", None, "a", "a", "12"]), "INT64", ["a", "12", None, "a", "a", "12"]),
        (pa.array([7.0, 12.0, None, 7.0, 7.0, 12.0]), "STRING", [7.0, 12.0, None, 7.0, 7.0, 12.0]),
        (pa.array([True, False, None, True, True, False]), "INT32", [True, False, None, True, True, False]),
        (pa.array([["a"], [], None, ["b"], ["a"], []]), "INT64", [["a"], [], None, ["b"], ["a"], []]),
        (pa.array([7, 12, None, 7, 7, 12]), "BYTES", [7, 12, None, 7, 7, 12]),
    ],
)
def test_columns_follow_the_repo_where_all_values_can(
    handmade: Dataset, values: pa.Array, served: str, followed: list[object]
) -> None:
    """What cannot stays as it is."""
    found = as_served(having(handmade, values), ServedFeatures({}, {"brand": served})).items["brand"]
    assert found.to_pylist() == followed
    assert [type(value) for value in found.to_pylist()] == [type(value) for value in followed]


def test_who_trains_is_told_what_follows(handmade: Dataset) -> None:
    """A brand "007" that was imported as 7 long ago would never be met again."""
    dataset, served = having(handmade, pa.array([7, 12, None, 7, 7, 12])), ServedFeatures({"age": "DOUBLE"}, {"brand": "STRING"})
    assert followed(dataset, as_served(dataset, served), served) == [
        "feature 'brand' is a number in the data and STRING in the repo: taken as text, such as '7'"
    ]


def test_users_follow_too(handmade: Dataset) -> None:
    """And features that the repo does not serve stay."""
    found = as_served(handmade, ServedFeatures({"age": "STRING"}, {}))
    assert found.users["age"].to_pylist() == ["30", "40", None]
    assert found.items.equals(handmade.items)


@pytest.mark.parametrize(
    ("values", "served", "message"),
    [
        (
            pa.array([7.5, 12.0, 3.0, 7.0, 7.0, 12.0]),
            "STRING",
            "is a number in the data, and the repo serves it as STRING; give both",
        ),
        (pa.array(["a", "12", "a", "a", "a", "12"]), "INT64", "is text in the data, and the repo serves it as INT64; give both"),
        (pa.array([7, 12, 3, 7, 7, 12]), "BYTES", "is a number .* as BYTES, which models do not take; .* --leave-out brand"),
        (pa.array([["a"], ["a"], ["b"], ["b"], ["a"], []]), "INT64_LIST", "is a list of texts .* as INT64_LIST, which models"),
        (pa.array([["a"], ["a"], ["b"], ["b"], ["a"], []]), "STRING", "is a list of texts .*; .* without it among --lists brand"),
    ],
)
def test_what_cannot_follow_is_refused(handmade: Dataset, values: pa.Array, served: str, message: str) -> None:
    """Before anything is trained, with both types and the remedy."""
    features = ServedFeatures({}, {"brand": served})
    dataset = as_served(having(handmade, values), features)
    log = read_log(dataset)
    with pytest.raises(BadData, match=f"feature 'brand' {message}"):
        build_schema(dataset, log, split_by_time(log), 4, features)


def test_a_column_that_tells_nothing_is_no_feature(handmade: Dataset) -> None:
    """So its type does not matter."""
    features = ServedFeatures({}, {"brand": "STRING"})
    dataset = having(handmade, pa.array([1.5] * 6))
    log = read_log(dataset)
    assert not build_schema(dataset, log, split_by_time(log), 4, features).item


def test_a_release_that_followed_a_repo_can_be_optimized(handmade: Dataset) -> None:
    """From the dataset as it was imported, whose columns are of other kinds than the release's."""
    features = ServedFeatures({"age": "STRING"}, {"brand": "INT64", "year": "STRING"})
    imported = having(handmade, pa.array(["007", "012", None, "007", "007", "012"]))
    dataset = as_served(imported, features)
    log = read_log(dataset)
    schema = build_schema(dataset, log, split_by_time(log), 4, features)
    again = as_trained(imported, schema)
    assert encode_all_items(again, log, schema).numbers.shape == encode_all_items(dataset, log, schema).numbers.shape
    assert encode_all_users(again, schema).categories.tolist() == encode_all_users(dataset, schema).categories.tolist()
