import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from banquet.core.errors import BadData
from banquet.training.encoding import Activity, Items, encode_all_items, encode_all_users
from banquet.training.models.retrieval import ItemEncoder
from banquet.training.schema_building import ServedFeatures, build_schema
from banquet.training.split import split_by_time
from banquet.training.train import item_widths
from banquet.wire.schema import Feature, FeatureSchema


@pytest.fixture
def schema(handmade, log):
    return build_schema(handmade, log, split_by_time(log), history_length=4)


def test_features_that_serving_lacks_are_left_out(handmade, log) -> None:
    """A repo of one's own may have neither counters nor every column."""
    served = ServedFeatures(user={"city": "STRING", "rating_count": "INT64"}, item={"genre": "STRING"})
    schema = build_schema(handmade, log, split_by_time(log), 4, served)
    assert {feature.name for feature in schema.user} <= {"city", "rating_count"}
    assert {feature.name for feature in schema.item} <= {"genre"}
    assert {feature.name for feature in schema.user} == {
        feature.name for feature in build_schema(handmade, log, split_by_time(log), 4).user
    } & {"city", "rating_count"}


def test_a_list_that_is_none_in_the_data_is_refused(handmade, log) -> None:
    """Before anything is trained: such a release could not be served."""
    served = ServedFeatures(user={}, item={"colour": "STRING_LIST"})
    with pytest.raises(BadData, match=r"feature 'colour' is one value in the data.*STRING_LIST; .* with --lists colour"):
        build_schema(handmade, log, split_by_time(log), 4, served)


def test_users_are_encoded_as_the_gateway_does_it(handmade, log, schema) -> None:
    """All users at once give what `encode_user` gives for each, activity included, missing values too."""
    users, activity = encode_all_users(handmade, schema), Activity.of(schema.user, "user_activity", log.user_counters)
    everyone = np.arange(3)
    counted = activity.at(everyone, np.full(3, len(log)))
    raw = log.user_counters.before(everyone, np.full(3, len(log)))
    for user, row in enumerate(handmade.users.to_pylist()):
        counters = dict(zip(("interaction_count", "rating_count", "rating_mean"), map(float, raw[user]), strict=True))
        one = schema.encode_user({**row, **counters})
        assert users.categories[user].tolist() == one.categories.tolist()
        np.testing.assert_allclose(np.concatenate([users.profile[user], counted[user]]), one.numbers, rtol=1e-5, atol=1e-6)


def test_the_schema_keeps_what_tells_something(schema) -> None:
    """Values seen once get no code, titles and availability are no features, items are those retrieval learns from."""
    features = {feature.name: feature for feature in schema.item}
    assert features["colour"].vocabulary == ("blue", "red")
    assert features["tags"].vocabulary == ("x", "y")
    assert "title" not in features
    assert "available" not in features
    assert schema.item_ids == ("a", "b", "c")


def test_activity_comes_after_the_profile(schema) -> None:
    """The graphs cut an item's numbers there."""
    numbers = [feature.view for feature in schema.item if feature.kind == "number"]
    assert numbers == sorted(numbers, reverse=True)


def test_a_missing_whole_number_is_zero_as_in_the_catalogue(handmade, log, schema) -> None:
    """Item d has no year: the catalogue cannot say so, and training sees what serving will."""
    inputs = encode_all_items(handmade, log, schema)
    year = [f.name for f in schema.item if f.kind == "number"].index("year")
    feature = next(f for f in schema.item if f.name == "year")
    assert inputs.numbers[3, year] == pytest.approx((0 - feature.mean) / feature.scale)


def test_training_and_serving_scale_alike(handmade, log) -> None:
    """Beyond float32, infinite or missing: 0 for users, items and counters in training, as in the gateway and the workers."""
    odd = [1e300, -1e300, math.inf, None, 3e38, 1.0]
    data = replace(
        handmade,
        users=handmade.users.append_column("odd", pa.array(odd[:3])),
        items=handmade.items.append_column("size", pa.array(odd)),
    )
    features = [
        Feature(name, view, "number", mean=0.5, scale=0.1) for name, view in (("odd", "user_profile"), ("size", "item_profile"))
    ]
    schema = FeatureSchema((features[0],), (features[1],), 4, ())
    served_users = [schema.encode_user(row).numbers.tolist() for row in data.users.to_pylist()]
    assert encode_all_users(data, schema).profile.tolist() == served_users == [[0.0]] * 3
    trained_items = encode_all_items(data, log, schema).numbers[:, 0].tolist()
    assert trained_items == [float(np.float32(features[1].number(value))) for value in odd]
    assert trained_items[:5] == [0.0] * 5


@given(st.floats(width=64), st.booleans(), st.floats(-1e3, 1e3), st.floats(1e-6, 1e6))
def test_scaling_many_is_scaling_each(value: float, log: bool, mean: float, scale: float) -> None:
    """Logarithm, mean and scale; what is missing, infinite or beyond float32 is 0, without a warning."""
    feature = Feature("n", "v", "number", mean=mean, scale=scale, log=log)
    with np.errstate(all="raise", under="ignore"):
        (many,) = feature.numbers(np.array([value]))
    assert np.isfinite(many)
    np.testing.assert_allclose(many, np.float32(feature.number(value)), rtol=1e-6, atol=1e-30)


def test_encoding_some_rows_is_encoding_all_and_picking(handmade, log, schema) -> None:
    """Rows may repeat and be padded; padding gives zeros."""
    widths = item_widths(schema)
    items = Items.of(encode_all_items(handmade, log, schema), widths.numbers)
    encoder = ItemEncoder(widths, 8).eval()
    picked = items.vectors(encoder, torch.tensor([[3, 3], [-1, 0]]))
    torch.testing.assert_close(picked[0, 1], items.vectors(encoder)[3])
    assert not picked[1, 0].any()
