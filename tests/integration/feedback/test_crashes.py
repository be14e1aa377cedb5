"""kill -9 of gateways and consumers at random moments changes no feature: all equal a recomputation from the log.

The full run of 20,000 events: `BANQUET_CRASH_EVENTS=20000 python -m pytest -s tests/integration/feedback/test_crashes.py`.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from banquet.core.declared import RECENT
from banquet.feedback.events import Event, encode
from banquet.feedback.feast_push import FeastActivity
from banquet.feedback.lag import Lag
from banquet.feedback.tail import Tail
from tests.unit.feedback.fakes import features_of, random_events, recomputed, recomputed_recent

EVENTS = int(os.environ.get("BANQUET_CRASH_EVENTS", "2500"))
KILLS = max(6, EVENTS // 500)
PATIENCE_S = 20.0
NAMES = [feature.name for feature in RECENT]


def deliveries() -> list[Event]:
    """Events of the last nine days, half of them of the last hour and some about to leave it; late, out of order, some twice."""
    chance, now_us = random.Random(3), time.time_ns() // 1_000
    ages_s = [
        chance.choice([chance.uniform(0, 3_700), chance.uniform(0, 9 * 86_400), 3_600 + chance.uniform(-90, 30)])
        for _ in range(EVENTS)
    ]
    events = random_events(EVENTS, 11, users=max(60, EVENTS // 40), items=max(100, EVENTS // 30))
    events = [replace(event, time_us=now_us - int(age_s * 1e6)) for event, age_s in zip(events, ages_s, strict=True)]
    sent = events + events[::19]
    chance.shuffle(sent)
    return sent


def logged(folder: Path) -> list[Event]:
    tail, offsets, events = Tail(folder), {}, []
    while (batch := tail.read(offsets, 10_000)).offsets:
        offsets.update(batch.offsets)
        events += batch.events
        assert batch.damaged == 0
    return events


def recent_rows(store: FeastActivity, kind: str, ids: list[str]) -> dict[str, dict[str, float]]:
    """What the online store has, without rows whose windows are empty."""
    keys = [store.own_keys[kind].of(entity) for entity in ids]
    found = store._provider.online_read(store._config, store.views[f"{kind}_recent"], keys, NAMES)
    rows = {}
    for entity, (_, values) in zip(ids, found, strict=True):
        row = {name: getattr(value, value.WhichOneof("val")) for name, value in (values or {}).items() if value.WhichOneof("val")}
        if row and (row["impressions_7d"] or row["interactions_7d"]):
            rows[entity] = row
    return rows


def as_stored(rows: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {
        entity: {name: float(np.float32(value)) if name.startswith("click_rate") else value for name, value in row.items()}
        for entity, row in rows.items()
    }


@contextmanager
def after_the_crashes(work: Path, repo: Path):
    """What the host tells once everything is written and consumed; its last consumer runs within the block."""
    (work / "to-send").write_bytes(b"".join(map(encode, deliveries())))
    command = [sys.executable, "-W", "ignore", "-m", "tests.integration.feedback.crash_host", str(work), str(repo), str(KILLS)]
    host = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield json.loads(host.stdout.readline())
    finally:
        # With its children.
        os.killpg(host.pid, signal.SIGKILL)
        host.communicate()


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_kill_9_at_random_moments_changes_no_feature(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Nothing acknowledged is lost, nothing counts twice, windows slide, and the offline store ends as the online one."""
    if kind == "redis" and "BANQUET_CRASH_EVENTS" not in os.environ:
        pytest.skip("in the full run alone")
    repo = request.getfixturevalue(f"{kind}_repo")
    began_s = time.monotonic()
    with after_the_crashes(tmp_path, repo) as told:
        events = logged(tmp_path / "log")
        assert set(told["acknowledged"]) <= {event.event_id for event in events}
        assert len({event.event_id for event in events}) == EVENTS
        assert told["lag"] == str(Lag(0, 0, 0))
        assert min(told["hits"].values()) >= KILLS // 3, "most kills should find something at work"
        store = FeastActivity(repo)
        for entity, read in (("user", store.read_users), ("item", store.read_items)):
            expected = recomputed(events, f"{entity}_id")
            assert features_of(read(list(expected))) == expected
            ids = sorted({getattr(event, f"{entity}_id") for event in events})
            give_up_s = time.monotonic() + PATIENCE_S
            while recent_rows(store, entity, ids) != as_stored(
                recomputed_recent(events, f"{entity}_id", time.time_ns() // 1_000)
            ):
                assert time.monotonic() < give_up_s, "windows differ from a recomputation"
                time.sleep(0.2)
        compare_offline(store, repo, events)
    hits, took_s = told["hits"], time.monotonic() - began_s
    sys.stdout.write(f"\n{kind}: {len(events)} records of {EVENTS} events, kills that hit {hits}, {took_s:.0f} s\n")


def compare_offline(store: FeastActivity, repo: Path, events: list[Event]) -> None:
    """The newest row of each user in the offline store is the online one."""
    users = sorted({event.user_id for event in events})
    give_up_s = time.monotonic() + PATIENCE_S
    while True:
        table = pq.read_table(repo / "data" / "user_activity").to_pandas().sort_values("event_timestamp")
        newest = table.drop_duplicates("user_id", keep="last").set_index("user_id")
        online = store.read_users(users)
        if {user: newest.loc[user, "interaction_count"] for user in online if user in newest.index} == {
            user: row.interaction_count for user, row in online.items()
        }:
            break
        assert time.monotonic() < give_up_s, "the offline store is behind"
        time.sleep(0.2)
    assert all(list(newest.loc[user, "history"]) == list(row.history) for user, row in online.items())
