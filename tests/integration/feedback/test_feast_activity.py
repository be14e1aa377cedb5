"""What an activity store promises, on Feast with SQLite, on Feast with Redis, and on the fake of the unit tests."""

import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, ValueType
from feast.types import Int64

from banquet.core.declared import VIEWS
from banquet.core.errors import BadSettings
from banquet.core.evaluation_users import HIGHEST, LOWEST, evaluation_user
from banquet.core.ids import KeyTypes
from banquet.features.project.feast_job import publish_layout
from banquet.features.project.repo import FeatureRepo
from banquet.features.stored_person import count_rows
from banquet.feedback.feast_offline import FeastOffline
from banquet.feedback.feast_push import FeastActivity
from banquet.feedback.ports import ActivityRow, ActivityStore, KeptRow
from tests.integration.feedback.conftest import SETTINGS, TYPES, make_repo, pushed_view
from tests.unit.feedback.fakes import MemoryActivity

FEATURES = [f"user_activity:{name}" for name in ("history", "interaction_count", "rating_count", "rating_mean")]
NOW_US = int(time.time()) * 1_000_000


@pytest.fixture(params=["memory", "sqlite_repo", "redis_repo"])
def store(request: pytest.FixtureRequest) -> ActivityStore:
    return MemoryActivity() if request.param == "memory" else FeastActivity(request.getfixturevalue(request.param))


def test_rows_come_back_as_they_were_pushed(store: ActivityStore) -> None:
    """Lists of text, whole numbers beyond a double's, a mean and its absence."""
    users = [
        ActivityRow("anna", 2**53 + 1, 2, 3.5, NOW_US, ("i2", "ключ", "")),
        ActivityRow("bob", 1, 0, None, NOW_US, ("i1",)),
    ]
    items = [ActivityRow("i1", 2**53 + 1, 2, 3.5, NOW_US), ActivityRow("i2", 1, 0, None, NOW_US)]
    store.push_users(users)
    store.push_items(items)
    assert store.read_users(["bob", "anna"]) == {row.entity_id: row for row in users}
    assert store.read_items(["i1", "i2"]) == {row.entity_id: row for row in items}


@pytest.mark.parametrize("time_us", [0, 1_000_000, -86_400_000_000])
def test_rows_of_1970_are_rows(store: ActivityStore, time_us: int) -> None:
    """A clock of one's own may begin at zero, and Redis answers with that time for whom it does not know."""
    user = ActivityRow(f"u at {time_us}", 8, 0, None, time_us, ("i2", "i1"))
    item = ActivityRow(f"i at {time_us}", 3, 1, 2.0, time_us)
    store.push_users([user])
    store.push_items([item])
    assert store.read_users(["nobody", user.entity_id]) == {user.entity_id: user}
    assert store.read_items([item.entity_id, "nothing"]) == {item.entity_id: item}


def test_the_unknown_are_left_out(store: ActivityStore) -> None:
    """Also where the other view knows the name, and whatever status the store gives."""
    store.push_users([ActivityRow("carl", 1, 0, None, NOW_US, ("i1",))])
    assert set(store.read_users(["nobody", "carl"])) == {"carl"}
    assert store.read_items(["carl"]) == {}


def test_a_newer_row_replaces_the_older(store: ActivityStore) -> None:
    """A microsecond is enough."""
    store.push_users([ActivityRow("dora", 1, 0, None, NOW_US, ("i1",))])
    store.push_users([ActivityRow("dora", 2, 1, 4.0, NOW_US + 1, ("i2", "i1"))])
    row = store.read_users(["dora"])["dora"]
    assert (row.history, row.interaction_count, row.rating_count, row.rating_mean) == (("i2", "i1"), 2, 1, 4.0)


@pytest.mark.parametrize("repo", ["sqlite_repo", "redis_repo"])
def test_feast_reads_what_we_push(repo: str, request: pytest.FixtureRequest) -> None:
    """Everyone who asks Feast itself sees the row."""
    path = request.getfixturevalue(repo)
    FeastActivity(path).push_users([ActivityRow("hal", 3, 0, None, NOW_US, ("i2", "i1"))])
    answer = FeatureStore(repo_path=str(path)).get_online_features(FEATURES, [{"user_id": "hal"}])
    assert answer.to_dict() == {
        "user_id": ["hal"],
        "history": [["i2", "i1"]],
        "interaction_count": [3],
        "rating_count": [0],
        "rating_mean": [None],
    }
    assert answer.proto.results[1].event_timestamps[0].ToMicroseconds() == NOW_US


@pytest.mark.parametrize("repo", ["sqlite_repo", "redis_repo"])
def test_we_read_what_is_pushed_to_feast(repo: str, request: pytest.FixtureRequest) -> None:
    """A user's own job may have written the row that events are added to."""
    path = request.getfixturevalue(repo)
    times = {
        "event_timestamp": pd.to_datetime([NOW_US], unit="us", utc=True),
        "created": pd.to_datetime([NOW_US], unit="us", utc=True),
    }
    frame = {"user_id": ["ida"], "history": [["i1"]], "interaction_count": [1], "rating_count": [1], "rating_mean": [2.5]}
    FeatureStore(repo_path=str(path)).push("user_activity_push", pd.DataFrame(frame | times))
    assert FeastActivity(path).read_users(["ida"]) == {"ida": ActivityRow("ida", 1, 1, 2.5, NOW_US, ("i1",))}


def test_a_repository_without_users_is_named(tmp_path: Path) -> None:
    """The error says what to do."""
    with pytest.raises(BadSettings, match=r"no feature_store\.yaml in .*nowhere"):
        FeastActivity(tmp_path / "nowhere")
    (tmp_path / "feature_store.yaml").write_text(
        "project: banquet\nprovider: local\nregistry: registry.db\nentity_key_serialization_version: 3\n"
    )
    with pytest.raises(BadSettings, match=r"no entity 'user' in .* give it tags=.\"banquet\": \"user\""):
        FeastActivity(tmp_path)


def test_a_repository_of_ones_own_gets_what_it_has_views_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Users by another name and with whole numbers as ids: what they have a view for is pushed, the rest goes nowhere."""
    (tmp_path / "feature_store.yaml").write_text(SETTINGS.format(online_store="{type: sqlite, path: online.db}"))
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.INT64, tags={"banquet": "user"})
    product = Entity(name="product", join_keys=["product_id"], value_type=ValueType.STRING, tags={"banquet": "item"})
    fields = [Field(name=feature.name, dtype=TYPES[feature.type]) for feature in VIEWS["user_activity"]]
    FeatureStore(repo_path=str(tmp_path)).apply([customer, product, *pushed_view(tmp_path, "user_activity", fields, customer)])
    store = FeastActivity(tmp_path)
    store.push_users([ActivityRow("7", 1, 0, None, NOW_US, ("p1",)), ActivityRow("nobody", 1, 0, None, NOW_US, ("p1",))])
    store.push_items([ActivityRow("p1", 1, 0, None, NOW_US)])
    assert set(store.read_users(["7", "nobody"])) == {"7"}
    assert store.read_items(["p1"]) == {}
    assert "no views item_activity, item_recent, user_recent" in caplog.text
    FeastOffline(store, tmp_path).append("user_activity", [KeptRow("7", NOW_US, {"interaction_count": 1})], "1")
    parts = pq.read_table(tmp_path / "data" / "user_activity")
    assert parts["customer_id"].to_pylist() == [7]
    store.forget_users(["007"])
    assert set(store.read_users(["7", "007"])) == {"7"}
    store.forget_users(["7"])
    assert store.read_users(["7"]) == {}


@pytest.mark.parametrize("value_type", [ValueType.INT64, None])
def test_ids_that_are_no_keys_hold_nobody_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, value_type: ValueType | None
) -> None:
    """Their rows are left out of both stores, also where Feast infers the key's type from the parquet; "007" is not user 7."""
    (tmp_path / "feature_store.yaml").write_text(SETTINGS.format(online_store="{type: sqlite, path: online.db}"))
    known = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
    user, item = (
        Entity(name="user", join_keys=["user_id"], value_type=value_type),
        Entity(name="item", value_type=ValueType.STRING),
    )
    fields = [Field(name=feature.name, dtype=TYPES[feature.type]) for feature in VIEWS["user_activity"]]
    source, view = pushed_view(tmp_path, "user_activity", fields, known)
    view = FeatureView(name="user_activity", entities=[user], schema=fields, source=source)
    FeatureStore(repo_path=str(tmp_path)).apply([user, item, source, view])
    store = FeastActivity(tmp_path)
    assert store.keys == KeyTypes("INT64", "STRING")
    ids = ["7", "007", "1_0", "abc", "99999999999999999999", "8"]
    store.push_users([ActivityRow(user_id, int(user_id == "7"), 0, None, NOW_US, ("p1",)) for user_id in ids])
    assert {name: row.interaction_count for name, row in store.read_users([*ids, "10"]).items()} == {"7": 1, "8": 0}
    offline = FeastOffline(store, tmp_path)
    offline.append("user_activity", [KeptRow(user_id, NOW_US, {"interaction_count": 1}) for user_id in ids], "1")
    offline.append("user_activity", [KeptRow("abc", NOW_US, {"interaction_count": 1})], "2")
    assert pq.read_table(tmp_path / "data" / "user_activity")["user_id"].to_pylist() == [7, 8]
    assert "4 rows of user_activity are of ids that are no INT64; they are left out" in caplog.text


def test_a_view_of_another_shape_is_named(tmp_path: Path) -> None:
    """Before the first event, not at it."""
    repo = make_repo(tmp_path / "repo", "{type: sqlite, path: data/online_store.db}", history=Field(name="visits", dtype=Int64))
    with pytest.raises(BadSettings, match=r"'user_activity'.*visits Int64.*feedback needs history"):
        FeastActivity(repo)


def test_many_are_forgotten_at_once(store: ActivityStore) -> None:
    """In pieces, whatever their number; others stay, and whom nobody knows does no harm."""
    guests = [evaluation_user(number) for number in range(1_200)]
    store.push_users([ActivityRow(user, 1, 0, None, NOW_US, ("i1",)) for user in [*guests[:-1], "kim"]])
    store.forget_users(guests)
    assert set(store.read_users([*guests, "kim"])) == {"kim"}
    store.forget_users([])


@pytest.mark.parametrize("key_type", [ValueType.STRING, ValueType.INT64, ValueType.INT32])
def test_evaluation_users_are_keys_of_every_type(tmp_path: Path, key_type: ValueType) -> None:
    """Pushed, read by Banquet's own reader, and forgotten."""
    user = Entity(name="user", join_keys=["user_id"], value_type=key_type)
    item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
    (tmp_path / "feature_store.yaml").write_text(SETTINGS.format(online_store="{type: sqlite, path: online.db}"))
    views = [
        made
        for name, entity in (("user_activity", user), ("item_activity", item))
        for made in pushed_view(
            tmp_path, name, [Field(name=feature.name, dtype=TYPES[feature.type]) for feature in VIEWS[name]], entity
        )
    ]
    FeatureStore(repo_path=str(tmp_path)).apply([user, item, *views])
    repo, store = FeatureRepo.open(tmp_path), FeastActivity(tmp_path)
    layout = publish_layout(repo, tmp_path / "catalogue")
    guests = [evaluation_user(0), evaluation_user(HIGHEST - LOWEST)]
    store.push_users([ActivityRow(name, 1, 0, None, NOW_US, ("i1",)) for name in [*guests, "7"]])
    assert count_rows(repo, layout, guests) == 2
    store.forget_users(guests)
    assert (count_rows(repo, layout, guests), count_rows(repo, layout, ["7"])) == (0, 1)
