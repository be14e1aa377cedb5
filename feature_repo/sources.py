"""Where the features come from: parquet files for history, push sources for what just happened."""

from feast import FileSource, PushSource


def _parquet(view: str) -> FileSource:
    return FileSource(
        name=f"{view}_file", path=f"data/{view}.parquet", timestamp_field="event_timestamp", created_timestamp_column="created"
    )


user_profile_file = _parquet("user_profile")
item_profile_file = _parquet("item_profile")
user_activity_push = PushSource(name="user_activity_push", batch_source=_parquet("user_activity"))
item_activity_push = PushSource(name="item_activity_push", batch_source=_parquet("item_activity"))
