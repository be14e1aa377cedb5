"""What is pushed online is there for training, and windows slide in a real store."""

import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from feast import FeatureStore

from banquet.feedback.consumer import Surroundings, run_consumer
from banquet.feedback.feast_offline import MANY_PARTS, PARTS, FeastOffline
from banquet.feedback.feast_push import FeastActivity
from banquet.feedback.ports import KeptRow
from banquet.feedback.pushing import Pace
from tests.unit.feedback.fakes import make_event, write_segment

NOW_US = time.time_ns() // 1_000
PUSHED = {"interaction_count": 1, "rating_count": 0, "rating_mean": None}


def test_history_is_what_was_online_at_the_time(sqlite_repo: Path, tmp_path: Path) -> None:
    """`get_historical_features` finds each state that was pushed, of both views, once the consumer has ended."""
    stop, store = threading.Event(), FeastActivity(sqlite_repo)
    (tmp_path / "log").mkdir()
    around = Surroundings(offline=FeastOffline(store, sqlite_repo))
    arguments = (tmp_path / "log", tmp_path / "state.db", store, stop, Pace(items_every_s=0.0), around)
    thread = threading.Thread(target=run_consumer, args=arguments)
    thread.start()
    moments = []
    for number, item in enumerate(["a", "b"], start=1):
        event = make_event(number, user="kim", item=item, time_us=time.time_ns() // 1_000)
        write_segment(tmp_path / "log" / "events-x-000001.log", [event])
        while store.read_users(["kim"]).get("kim") is None or store.read_users(["kim"])["kim"].interaction_count < number:
            time.sleep(0.005)
        time.sleep(0.2)
        moments.append(datetime.now(UTC))
    stop.set()
    thread.join()
    asked = pd.DataFrame({"user_id": ["kim", "kim"], "event_timestamp": moments})
    features = ["user_activity:history", "user_recent:clicks_1h"]
    found = FeatureStore(repo_path=str(sqlite_repo)).get_historical_features(asked, features).to_df()
    found = found.sort_values("event_timestamp")
    assert [list(history) for history in found["history"]] == [["a"], ["b", "a"]]
    assert found["clicks_1h"].tolist() == [1, 2]


def test_many_small_files_become_one(sqlite_repo: Path) -> None:
    """Every row stays, and the person who is forgotten is in none."""
    offline = FeastOffline(FeastActivity(sqlite_repo), sqlite_repo)
    for number in range(MANY_PARTS):
        row = KeptRow("lea" if number % 2 else "max", NOW_US + number, PUSHED | {"history": [f"i{number}"]})
        offline.append("user_activity", [row], f"{number:04d}-{number:04d}")
    folder = sqlite_repo / "data" / "user_activity"
    assert len(list(folder.glob(PARTS))) == 1
    assert len(pd.read_parquet(folder)) == MANY_PARTS
    offline.forget_user("max")
    assert set(pd.read_parquet(folder)["user_id"]) == {"lea"}
    offline.start_over()
    assert pd.read_parquet(folder).empty
