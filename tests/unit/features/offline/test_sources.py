"""From a dataset's folder to the parquet sources of the Feast repo."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banquet.core.errors import BadData
from banquet.features.offline.sources import RECENT_EVENTS, write_sources
from banquet.feedback.derive import Activity, to_row, user_after
from banquet.feedback.events import Event as Recorded

MADE_AT = datetime(2026, 1, 2, tzinfo=UTC)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TIME = pa.timestamp("us", tz="UTC")
Event = tuple[str, str, str, float | None]


def dataset(folder: Path, events: list[Event], users: dict[str, Any] | None = None) -> Path:
    """A dataset whose events happen one second apart."""
    user_ids, item_ids = sorted({event[0] for event in events}), sorted({event[1] for event in events})
    interactions = {
        "user_id": pa.array([event[0] for event in events], pa.string()),
        "item_id": pa.array([event[1] for event in events], pa.string()),
        "event_type": pa.array([event[2] for event in events], pa.string()),
        "value": pa.array([event[3] for event in events], pa.float32()),
        "event_time": pa.array([NOON + timedelta(seconds=second) for second in range(len(events))], TIME),
        "event_id": pa.array([str(number) for number in range(len(events))]),
    }
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(interactions), folder / "interactions.parquet")
    pq.write_table(pa.table({"user_id": user_ids} | (users or {})), folder / "users.parquet")
    pq.write_table(pa.table({"item_id": item_ids, "available": [True] * len(item_ids)}), folder / "items.parquet")
    (folder / "dataset.json").write_text(json.dumps({"name": "tiny", "created_at": MADE_AT.isoformat()}))
    return folder


def sources(tmp_path: Path, events: list[Event], users: dict[str, Any] | None = None) -> dict[str, dict[str, dict[str, Any]]]:
    """Rows by view and id."""
    write_sources(dataset(tmp_path / "dataset", events, users), tmp_path / "data")
    files = [tmp_path / "data" / f"{view}.parquet" for view in ("user_profile", "item_profile")]
    files += (tmp_path / "data").glob("*/*.parquet")
    rows = {(file.parent if file.stem == "base" else file).stem: pq.read_table(file).to_pylist() for file in files}
    return {view: {row[f"{view.split('_')[0]}_id"]: row for row in its} for view, its in rows.items()}


def test_history_is_newest_first(tmp_path: Path) -> None:
    """Other users' events between do not matter."""
    activity = sources(tmp_path, [("u", "a", "click", None), ("v", "x", "click", None), ("u", "b", "click", None)])[
        "user_activity"
    ]
    assert activity["u"]["history"] == ["b", "a"]
    assert activity["v"]["history"] == ["x"]


def test_history_holds_the_last_two_hundred(tmp_path: Path) -> None:
    """The counter counts them all."""
    activity = sources(tmp_path, [("u", str(number), "click", None) for number in range(260)])["user_activity"]
    assert activity["u"]["history"] == [str(number) for number in range(259, 59, -1)]
    assert activity["u"]["interaction_count"] == 260


def test_history_holds_different_items(tmp_path: Path) -> None:
    """Each where it was last, as the consumer keeps it: two hundred of them, however often some were taken."""
    events: list[Event] = [(user, item, "purchase", None) for item in "abacab" for user in "uv"]
    events += [("w", str(number % 250), "click", None) for number in range(2_500)] + [("w", "3", "click", None)]
    activity = sources(tmp_path, events)["user_activity"]
    assert (activity["u"]["history"], activity["v"]["history"]) == (["b", "a", "c"], ["b", "a", "c"])
    assert activity["u"]["interaction_count"] == 6
    assert activity["w"]["history"] == ["3", *(str(number) for number in range(249, 50, -1))]


@given(st.lists(st.tuples(st.sampled_from("uvw"), st.integers(0, 60).map(str)), min_size=1, max_size=300))
@settings(deadline=None, max_examples=30)
def test_the_first_day_is_like_every_other(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]) -> None:
    """The history that the consumer derives of the same events."""
    events: list[Event] = [(user, item, "click", None) for user, item in pairs]
    activity = sources(tmp_path_factory.mktemp("s"), events)["user_activity"]
    for user, row in activity.items():
        own = [Recorded(f"{second:04}", "click", who, item, second) for second, (who, item) in enumerate(pairs) if who == user]
        assert tuple(row["history"]) == to_row(user, user_after(Activity(), own)).history


def test_impressions_are_no_interactions(tmp_path: Path) -> None:
    """What was only shown is neither history nor counted."""
    activity = sources(tmp_path, [("u", "a", "click", None), ("u", "b", "impression", None)])
    assert activity["user_activity"]["u"]["history"] == ["a"]
    assert set(activity["item_activity"]) == {"a"}


def test_ratings_are_counted_and_averaged_and_their_absence_is_null(tmp_path: Path) -> None:
    """A purchase's amount and a rating without stars are no stars."""
    events: list[Event] = [
        ("u", "a", "rating", 4.0),
        ("u", "b", "rating", 1.0),
        ("u", "b", "purchase", 99.0),
        ("v", "c", "rating", None),
    ]
    found = sources(tmp_path, events)
    user = found["user_activity"]["u"]
    assert (user["interaction_count"], user["rating_count"], user["rating_mean"]) == (3, 2, 2.5)
    assert found["user_activity"]["v"]["rating_mean"] is None
    assert found["item_activity"]["b"]["rating_mean"] == 1.0
    assert found["item_activity"]["c"]["rating_count"] == 0


def test_activity_is_stamped_with_the_last_interaction_and_profiles_with_the_datasets_making(tmp_path: Path) -> None:
    """So that newer pushes win and training joins do not look ahead."""
    found = sources(tmp_path, [("u", "a", "click", None), ("v", "a", "click", None)])
    assert found["user_activity"]["u"]["event_timestamp"] == NOON
    assert found["item_activity"]["a"]["event_timestamp"] == NOON + timedelta(seconds=1)
    assert found["user_profile"]["u"]["event_timestamp"] == found["item_profile"]["a"]["event_timestamp"] == MADE_AT


def test_windows_are_those_of_the_datasets_making(tmp_path: Path) -> None:
    """Twelve hours after the events: the day holds them, the last hour does not."""
    found = sources(tmp_path, [("u", "a", "impression", None), ("u", "b", "impression", None), ("u", "a", "click", None)])
    user, item = found["user_recent"]["u"], found["item_recent"]["a"]
    assert user["event_timestamp"] == MADE_AT
    assert (user["impressions_1h"], user["impressions_24h"], user["clicks_7d"], user["interactions_7d"]) == (0, 2, 1, 1)
    assert item["click_rate_24h"] == pytest.approx((1 + 1) / (1 + 20))
    assert item["click_rate_1h"] == pytest.approx(1 / 20)


def test_the_events_in_the_windows_are_kept_for_them_to_slide(tmp_path: Path) -> None:
    """Older ones are not."""
    folder = dataset(tmp_path / "dataset", [("u", "a", "click", None), ("u", "b", "click", None)])
    (folder / "dataset.json").write_text(
        json.dumps({"name": "tiny", "created_at": (NOON + timedelta(days=7, hours=9)).isoformat()})
    )
    write_sources(folder, tmp_path / "data")
    assert pq.read_table(tmp_path / "data" / RECENT_EVENTS).num_rows == 0
    assert pq.read_table(tmp_path / "data" / "user_recent" / "base.parquet").num_rows == 0
    (folder / "dataset.json").write_text(json.dumps({"name": "tiny", "created_at": MADE_AT.isoformat()}))
    write_sources(folder, tmp_path / "data")
    assert pq.read_table(tmp_path / "data" / RECENT_EVENTS)["item_id"].to_pylist() == ["a", "b"]


def test_what_was_pushed_on_top_of_earlier_data_goes(tmp_path: Path) -> None:
    """It would come back with the next materialization."""
    folder = dataset(tmp_path / "dataset", [("u", "a", "click", None)])
    write_sources(folder, tmp_path / "data")
    pushed = tmp_path / "data" / "user_activity" / "part-1.parquet"
    pushed.write_bytes(b"")
    write_sources(folder, tmp_path / "data")
    assert not pushed.exists()


def test_users_without_features_get_one(tmp_path: Path) -> None:
    """Feast has no views without features."""
    assert sources(tmp_path, [("u", "a", "click", None)])["user_profile"]["u"]["known"] is True


def test_profiles_keep_their_columns_and_types(tmp_path: Path) -> None:
    """Nulls, lists and small floats as they are."""
    users = {"age": pa.array([None], pa.int64()), "tags": pa.array([["x", "y"]]), "height": pa.array([1.5], pa.float32())}
    row = sources(tmp_path, [("u", "a", "click", None)], users)["user_profile"]["u"]
    assert (row["age"], row["tags"], row["height"]) == (None, ["x", "y"], 1.5)


def test_a_dataset_without_interactions_is_possible(tmp_path: Path) -> None:
    """Profiles alone."""
    found = sources(tmp_path, [("u", "a", "impression", None)])
    assert found["user_activity"] == {}
    assert set(found["item_profile"]) == {"a"}


@pytest.mark.parametrize("name", ["history", "interaction_count", "clicks_1h", "created"])
def test_a_profile_column_with_a_taken_name_is_refused(tmp_path: Path, name: str) -> None:
    """Two features of one name could not be told apart."""
    with pytest.raises(BadData, match=rf"users\.parquet: column '{name}'"):
        sources(tmp_path, [("u", "a", "click", None)], {name: ["x"]})


@pytest.mark.parametrize("name", ["interactions.parquet", "users.parquet", "items.parquet", "dataset.json"])
def test_a_missing_file_is_named_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    """With the command that makes it."""
    folder = dataset(tmp_path / "dataset", [("u", "a", "click", None)])
    (folder / name).unlink()
    with pytest.raises(BadData, match=rf"{name} does not exist.*`banquet data"):
        write_sources(folder, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """Not parquet at all."""
    folder = dataset(tmp_path / "dataset", [("u", "a", "click", None)])
    (folder / "users.parquet").write_bytes(b"nonsense")
    with pytest.raises(BadData, match=r"users\.parquet is not readable"):
        write_sources(folder, tmp_path / "data")


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """The first that is missing."""
    folder = dataset(tmp_path / "dataset", [("u", "a", "click", None)])
    pq.write_table(pa.table({"user_id": ["u"]}), folder / "interactions.parquet")
    with pytest.raises(BadData, match=r"interactions\.parquet: column 'event_time' is missing"):
        write_sources(folder, tmp_path / "data")
