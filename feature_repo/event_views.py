"""What Banquet keeps up of events: views of the user and of the item, with their push sources and the parquet behind them.

For a repo of your own, copy this file and import your entities under these two names. Names and features are Banquet's:
`banquet/core/declared.py` says what they mean.
"""

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from entities import item, user
from feast import Entity, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Array, FeastType, Float32, Int64, String, from_feast_to_pyarrow_type, from_value_type

# A century: old interactions stay valid. With ttl 0 the first `feast materialize-incremental` would look back one year only.
NEVER_STALE = timedelta(days=36_500)

HISTORY: dict[str, FeastType] = {"history": Array(String)}  # the last 200 item ids, newest first
COUNTERS: dict[str, FeastType] = {"interaction_count": Int64, "rating_count": Int64, "rating_mean": Float32}
RECENT: dict[str, FeastType] = {
    f"{name}_{window}": kind
    for window in ("1h", "24h", "7d")
    for name, kind in (("impressions", Int64), ("clicks", Int64), ("interactions", Int64), ("click_rate", Float32))
}


def _view(name: str, entity: Entity, features: dict[str, FeastType], description: str) -> FeatureView:
    _make_base(Path(__file__).parent / "data" / name / "base.parquet", entity, features)
    parquet = FileSource(
        name=f"{name}_file", path=f"data/{name}", timestamp_field="event_timestamp", created_timestamp_column="created"
    )
    return FeatureView(
        name=name,
        entities=[entity],
        ttl=NEVER_STALE,
        schema=[Field(name=feature, dtype=kind) for feature, kind in features.items()],
        source=PushSource(name=f"{name}_push", batch_source=parquet),
        description=description,
    )


def _make_base(file: Path, entity: Entity, features: dict[str, FeastType]) -> None:
    """Feast wants a file behind every view; where there is none yet, it has no rows. Banquet adds others beside it."""
    if file.exists():
        return
    if entity.value_type is ValueType.UNKNOWN:
        # SystemExit: the feast command shows this one line instead of a traceback.
        raise SystemExit(f"entity {entity.name!r} has no value_type; give it that of its ids, such as ValueType.STRING")
    columns = {entity.join_key: from_feast_to_pyarrow_type(from_value_type(entity.value_type))}
    columns |= {feature: from_feast_to_pyarrow_type(kind) for feature, kind in features.items()}
    columns |= dict.fromkeys(("event_timestamp", "created"), pa.timestamp("us", "UTC"))
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.schema(columns).empty_table(), file)


user_activity = _view("user_activity", user, HISTORY | COUNTERS, "What a user did.")
item_activity = _view("item_activity", item, COUNTERS, "What was done with an item.")
user_recent = _view("user_recent", user, RECENT, "What a user saw and did in the last hour, day and week.")
item_recent = _view("item_recent", item, RECENT, "What was shown and done of an item in the last hour, day and week.")
