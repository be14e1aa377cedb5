"""Evaluation users are answered like anybody, change nothing for others, and are gone when they are forgotten."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from banquet_client import BanquetClient, Event

from banquet.core.evaluation_users import EVERY_EVALUATION_USER, evaluation_user
from banquet.feedback.feast_push import FeastActivity
from tests.e2e.conftest import Served, banquet, succeed
from tests.e2e.test_forgetting import is_known, mentions, served_as
from tests.e2e.test_serving import known_users

PATIENCE_S = 30.0


def wait_until(done: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < give_up_s, "waited too long"
        time.sleep(0.1)


def test_they_are_answered_leave_no_trace_and_are_forgotten(served: Served, client: BanquetClient, tmp_path: Path) -> None:
    """Their history is in their answers; items' counters, served log, offline store and training sets do not know them."""
    guests, real = [evaluation_user(number) for number in range(40)], known_users(served)[160]
    store = FeastActivity(served.folder / "feature_repo")
    items = client.recommend("nobody-yet", placement="home", limit=5).item_ids
    other = next(item for item in client.recommend(real, placement="home", limit=10).item_ids if item not in items)
    before, others_before = store.read_items(items), store.read_items([other])
    assert not is_known(client, guests[0])
    client.record([Event(user_id=guest, item_id=item, type="click") for guest in guests for item in items])

    wait_until(lambda: is_known(client, guests[-1]) and is_known(client, guests[0]))
    for guest in guests:
        answer = client.recommend(guest, placement="home", limit=10)
        assert not set(items) & set(answer.item_ids)
        # Nothing but their history is known.
        assert {lost.reason for lost in answer.degradations} <= {"defaults_used"}
        client.record([Event(user_id=guest, item_id=items[0], type="impression", request_id=answer.request_id)])

    # What a real user does later is counted, so what they did was taken in before.
    last = client.recommend(real, placement="home", limit=3)
    client.record([Event(user_id=real, item_id=other, type="click", request_id=last.request_id)])
    wait_until(lambda: store.read_items([other]) != others_before)
    assert store.read_items(items) == before
    assert served_as(served.folder / "var/served", last.request_id) == real
    with closing(sqlite3.connect(served.folder / "var/feedback/consumer.db")) as state:
        waiting = [row for (row,) in state.execute("SELECT row FROM offline")]
    succeed(served.folder, "dataset", "build", "--out", str(tmp_path / "out"), "--click-minutes", "0", "--conversion-hours", "0")
    assert mentions(tmp_path / "out", real)
    for guest in guests:
        assert not [row for row in waiting if guest in row]
        for folder in (served.folder / "var/served", served.folder / "feature_repo/data", tmp_path / "out"):
            assert [path for path in mentions(folder, guest) if path.endswith(".parquet")] == []

    assert set(store.read_users(guests)) == set(guests)
    began_s = time.monotonic()
    done = banquet(served.folder, "forget", EVERY_EVALUATION_USER, "--address", served.address, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began_s < PATIENCE_S
    places = {place["place"]: place for place in json.loads(done.stdout)["places"]}
    assert list(places) == ["events", "online_store"]
    assert [place["left"] for place in places.values()] == [0, 0]
    assert places["events"]["removed"] >= len(guests) * (len(items) + 1)
    assert places["online_store"]["removed"] >= len(guests)
    assert store.read_users(guests) == {}
    assert not is_known(client, guests[0])
    assert is_known(client, real)
    assert all(mentions(served.folder / "var/feedback/log", guest) == [] for guest in guests)
