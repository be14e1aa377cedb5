"""What is known of users and items. Names are fixed: the gateway, the training and the catalogue ask for them."""

from datetime import timedelta

from columns import fields_of
from entities import item, user
from feast import FeatureView, Field
from feast.types import Array, Float32, Int64, String
from sources import (
    item_activity_push,
    item_profile_file,
    item_recent_push,
    user_activity_push,
    user_profile_file,
    user_recent_push,
)

# A century: old interactions stay valid. With ttl 0 the first `feast materialize-incremental` would look back one year only.
NEVER_STALE = timedelta(days=36_500)

user_profile = FeatureView(
    name="user_profile",
    entities=[user],
    ttl=NEVER_STALE,
    schema=fields_of("user_profile"),
    source=user_profile_file,
    description="What a user is: the columns of the data set's users.",
)

user_activity = FeatureView(
    name="user_activity",
    entities=[user],
    ttl=NEVER_STALE,
    schema=[
        Field(name="history", dtype=Array(String), description="The last 50 item ids, newest first."),
        Field(name="interaction_count", dtype=Int64, description="Clicks, ratings and purchases so far."),
        Field(name="rating_count", dtype=Int64),
        Field(name="rating_mean", dtype=Float32),
    ],
    source=user_activity_push,
    description="What a user did.",
)

item_profile = FeatureView(
    name="item_profile",
    entities=[item],
    ttl=NEVER_STALE,
    schema=fields_of("item_profile"),
    source=item_profile_file,
    description="What an item is: the columns of the data set's items, and whether it is available.",
)

item_activity = FeatureView(
    name="item_activity",
    entities=[item],
    ttl=NEVER_STALE,
    schema=[
        Field(name="interaction_count", dtype=Int64, description="Clicks, ratings and purchases so far."),
        Field(name="rating_count", dtype=Int64),
        Field(name="rating_mean", dtype=Float32),
    ],
    source=item_activity_push,
    description="What was done with an item.",
)

# `banquet/core/declared.py` says which windowed features there are; they come with the parquet files.
user_recent = FeatureView(
    name="user_recent",
    entities=[user],
    ttl=NEVER_STALE,
    schema=fields_of("user_recent"),
    source=user_recent_push,
    description="What a user saw and did in the last hour, day and week.",
)

item_recent = FeatureView(
    name="item_recent",
    entities=[item],
    ttl=NEVER_STALE,
    schema=fields_of("item_recent"),
    source=item_recent_push,
    description="What was shown and done of an item in the last hour, day and week.",
)
