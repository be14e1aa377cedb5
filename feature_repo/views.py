"""What is known of users and items: the columns of the data set. What events become is in `event_views.py`."""

from columns import fields_of
from entities import item, user
from event_views import NEVER_STALE
from feast import FeatureView, FileSource


def _parquet(view: str) -> FileSource:
    path = f"data/{view}.parquet"
    return FileSource(name=f"{view}_file", path=path, timestamp_field="event_timestamp", created_timestamp_column="created")


user_profile = FeatureView(
    name="user_profile",
    entities=[user],
    ttl=NEVER_STALE,
    schema=fields_of("user_profile"),
    source=_parquet("user_profile"),
    description="What a user is: the columns of the data set's users.",
)

item_profile = FeatureView(
    name="item_profile",
    entities=[item],
    ttl=NEVER_STALE,
    schema=fields_of("item_profile"),
    source=_parquet("item_profile"),
    description="What an item is: the columns of the data set's items, and whether it is available.",
)
