"""Raw feature values as model inputs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from banquet.wire.catalogue_file import Column, Strings
from banquet.wire.schema import Feature, FeatureSchema, SchemaMismatch

SCHEMA = FeatureSchema(
    user=(
        Feature("gender", "user_profile", "category", ("F", "M")),
        Feature("age", "user_profile", "number", mean=30.0, scale=10.0),
    ),
    item=(
        Feature("colour", "item_profile", "category", ("red", "blue")),
        Feature("genres", "item_profile", "categories", ("a", "b", "c")),
        Feature("count", "item_activity", "number", mean=1.0, scale=2.0, log=True),
    ),
    history_length=5,
    item_ids=("i1", "i2"),
)
COLUMNS = {
    "colour": Column("category", "item_profile", np.array([1, 0, -1], np.int32), Strings.of(["mauve", "red"])),
    "genres": Column(
        "categories", "item_profile", np.array([0, 1, 1, 2], np.int32), Strings.of(["c", "a", "unknown"]), np.array([0, 3, 3, 4])
    ),
    "count": Column("number", "item_activity", np.array([0.0, np.e - 1, np.nan], np.float32)),
}


def test_items_become_codes_shares_and_scaled_numbers():
    """Codes follow the model's vocabulary, shares divide by all entries, logs are scaled, missing numbers are the mean."""
    inputs = SCHEMA.encode_items(["i2", "new", "i1"], COLUMNS)
    assert inputs.index.tolist() == [2, 0, 1]
    assert inputs.categories.tolist() == [[1], [0], [0]]
    np.testing.assert_allclose(inputs.lists, [[2 / 3, 0, 1 / 3], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(inputs.numbers, [[-0.5], [0.0], [0.0]], atol=1e-6)


def test_an_unknown_entry_counts_in_the_divisor_alone():
    """A list with one known and one unknown entry gives the known one a half."""
    column = Column("categories", "v", np.array([0, 1], np.int32), Strings.of(["a", "zzz"]), np.array([0, 2]))
    shares = SCHEMA.encode_items(
        ["i1"], {**COLUMNS, "colour": _first(COLUMNS["colour"]), "genres": column, "count": _first(COLUMNS["count"])}
    )
    np.testing.assert_allclose(shares.lists, [[0.5, 0.0, 0.0]])


def _first(column: Column) -> Column:
    return Column(column.kind, column.view, column.values[:1], column.vocabulary)


def test_a_user_becomes_codes_and_numbers():
    """Known values are encoded in the schema's order."""
    inputs = SCHEMA.encode_user({"gender": "M", "age": 45})
    assert (inputs.categories.tolist(), inputs.numbers.tolist(), inputs.missing) == ([2], [1.5], ())


@pytest.mark.parametrize("values", [{}, {"gender": None, "age": None}])
def test_a_user_nobody_knows_gets_the_defaults(values):
    """What is missing becomes code 0 and the mean, and is named."""
    inputs = SCHEMA.encode_user(values)
    assert (inputs.categories.tolist(), inputs.numbers.tolist(), inputs.missing) == ([0], [0.0], ("gender", "age"))


@given(st.one_of(st.floats(), st.integers(-(2**60), 2**60), st.text(max_size=3), st.booleans()))
def test_any_raw_value_becomes_a_number_the_model_can_take(value):
    """No value a store may hold gives NaN."""
    assert np.isfinite(SCHEMA.encode_user({"age": value}).numbers).all()


def test_users_and_items_read_numbers_alike():
    """The same raw value gives the same input on either side, whatever it is."""
    raw = np.array([0.0, -3.0, 12.5, 1e300, -1e300, np.inf, -np.inf, np.nan])
    for log in (False, True):
        feature = Feature("count", "v", "number", mean=2.0, scale=0.5, log=log)
        schema = FeatureSchema((feature,), (feature,), 5, ())
        items = schema.encode_items([""] * len(raw), {"count": Column("number", "v", raw)}).numbers[:, 0]
        users = [schema.encode_user({"count": float(value)}).numbers[0] for value in raw]
        np.testing.assert_allclose(items, users, rtol=1e-6)


def test_a_plan_called_none_is_not_a_missing_plan():
    """What is missing is unknown in serving as in training, whatever the vocabulary holds."""
    schema = FeatureSchema((Feature("plan", "user_profile", "category", ("None", "Pro")),), (), 5, ())
    codes = [schema.encode_user(values).categories.tolist() for values in ({"plan": "None"}, {"plan": None}, {}, {"plan": "Pro"})]
    assert codes == [[1], [0], [0], [2]]


def test_a_missing_column_is_named():
    """A catalogue without a feature of the release is refused with the feature's name."""
    with pytest.raises(SchemaMismatch, match="genres"):
        SCHEMA.encode_items(["i1"], {name: column for name, column in COLUMNS.items() if name != "genres"})


def test_a_column_of_another_kind_is_named():
    """A feature that changed its kind is refused with both kinds."""
    with pytest.raises(SchemaMismatch, match="'count' is a category in the catalogue, the release wants a number"):
        SCHEMA.encode_items(
            ["i1", "i2", "i3"], {**COLUMNS, "count": Column("category", "v", COLUMNS["colour"].values, Strings.of(["x"]))}
        )


def test_a_release_without_item_features_takes_ids_alone():
    """Widths of zero are arrays of zero columns."""
    bare = FeatureSchema((), (), 5, ("i1",))
    inputs = bare.encode_items(["i1", "i9"], {})
    assert [array.shape for array in (inputs.categories, inputs.lists, inputs.numbers)] == [(2, 0)] * 3


def test_a_schema_survives_json():
    """What is written in a manifest reads back equal."""
    body = json.loads(json.dumps(SCHEMA.to_json()))
    assert FeatureSchema.from_json(body, SCHEMA.item_ids) == SCHEMA
