"""Where the features come from: parquet for history, push sources for what just happened.

A view that is pushed to has a folder: `base.parquet` and the files that Banquet adds with what was pushed.
"""

from feast import FileSource, PushSource


def _parquet(view: str, path: str) -> FileSource:
    return FileSource(name=f"{view}_file", path=path, timestamp_field="event_timestamp", created_timestamp_column="created")


def _pushed(view: str) -> PushSource:
    return PushSource(name=f"{view}_push", batch_source=_parquet(view, f"data/{view}"))


user_profile_file = _parquet("user_profile", "data/user_profile.parquet")
item_profile_file = _parquet("item_profile", "data/item_profile.parquet")
user_activity_push = _pushed("user_activity")
item_activity_push = _pushed("item_activity")
user_recent_push = _pushed("user_recent")
item_recent_push = _pushed("item_recent")
