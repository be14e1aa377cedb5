"""The naive stack computes what Banquet computes: only how it gets there differs."""

import numpy as np

from banquet.wire.catalogue_file import Column, Strings
from banquet.wire.schema import Feature, FeatureSchema
from bench.naive.encoding import Encoder

SCHEMA = FeatureSchema(
    user=(Feature("gender", "user_profile", "category", ("F", "M")), Feature("age", "user_profile", "number", mean=35, scale=12)),
    item=(
        Feature("studio", "item_profile", "category", ("A", "B")),
        Feature("genres", "item_profile", "categories", ("Comedy", "Drama", "War")),
        Feature("interaction_count", "item_activity", "number", mean=3, scale=2, log=True),
    ),
    history_length=5,
    item_ids=("i1", "i2"),
)
ROWS = {
    "item_id": ["i2", "new", "i1"],
    "studio": ["B", None, "unknown"],
    "genres": [["Comedy", "War", "new"], None, []],
    "interaction_count": [10, None, 0],
}


def test_item_inputs_are_those_of_the_release():
    """Rows from Feast's SDK become the same numbers as the catalogue's columns."""
    columns = {
        "studio": Column("category", "item_profile", np.array([0, -1, 1], np.int32), Strings.of(["B", "unknown"])),
        "genres": Column(
            "categories",
            "item_profile",
            np.array([0, 1, 2], np.int32),
            Strings.of(["Comedy", "War", "new"]),
            np.array([0, 3, 3, 3], np.int64),
        ),
        "interaction_count": Column("number", "item_activity", np.array([10, np.nan, 0], np.float32)),
    }
    expected = SCHEMA.encode_items(ROWS["item_id"], columns)
    found = Encoder(SCHEMA).items(ROWS)
    for name, array in found.items():
        np.testing.assert_allclose(array, getattr(expected, name), rtol=1e-6, err_msg=name)
        assert array.dtype == getattr(expected, name).dtype


def test_user_inputs_are_those_of_the_release():
    """A user's row becomes the same numbers as the gateway's."""
    expected = SCHEMA.encode_user({"gender": "M", "age": 47})
    found = Encoder(SCHEMA).user({"gender": ["M"], "age": [47]})
    assert found["user_categories"].tolist() == [expected.categories.tolist()]
    assert found["user_numbers"].tolist() == [expected.numbers.tolist()]
