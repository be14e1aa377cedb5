"""From a recorded event to the user's row in a real Feast store."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from banquet.core.evaluation_users import EVERY_EVALUATION_USER, evaluation_user
from banquet.feedback.consumer import run_consumer
from banquet.feedback.erase import count_evaluation_users, erase_evaluation_users, is_erased_online
from banquet.feedback.event_log import FileEventLog
from banquet.feedback.feast_push import FeastActivity
from banquet.feedback.lag import consumer_lag
from banquet.feedback.ports import ActivityRow
from banquet.feedback.pushing import Pace
from tests.unit.feedback.fakes import make_event, write_segment

NOW_US = int(time.time() * 1e6)
VISIBLE_WITHIN_S = 10.0


def wait_until(done: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + VISIBLE_WITHIN_S
    while not done():
        assert time.monotonic() < give_up_s, "waited too long"
        time.sleep(0.002)


@contextmanager
def consuming(log: Path, repo: Path) -> Iterator[None]:
    stop = threading.Event()
    arguments = (log, log / "consumer.db", FeastActivity(repo), stop, Pace(items_every_s=0.0))
    thread = threading.Thread(target=run_consumer, args=arguments)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


@pytest.mark.parametrize("repo", ["sqlite_repo", "redis_repo"])
async def test_a_click_is_in_the_history_that_was_stored_before(
    repo: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """An acknowledged event goes on top of the row that a materialization left, on SQLite and on Redis."""
    store = FeastActivity(request.getfixturevalue(repo))
    store.push_users([ActivityRow("eve", 2, 1, 4.0, NOW_US, ("b", "a"))])
    log = FileEventLog(tmp_path / "log")
    with consuming(tmp_path / "log", request.getfixturevalue(repo)):
        # The second is late: it changes the row although it is not the newest.
        await log.append([make_event(1, user="eve", item="c", time_us=NOW_US + 5_000_000)])
        wait_until(lambda: store.read_users(["eve"])["eve"].history == ("c", "b", "a"))
        await log.append([make_event(2, user="eve", item="d", kind="rating", value=1.0, time_us=NOW_US + 2_000_000)])
        wait_until(lambda: store.read_users(["eve"])["eve"].history == ("c", "d", "b", "a"))
        row = store.read_users(["eve"])["eve"]
        assert (row.interaction_count, row.rating_count, row.rating_mean) == (4, 2, 2.5)
        wait_until(lambda: store.read_items(["c", "d"]).keys() == {"c", "d"})
    await log.close()


async def test_a_locked_store_delays_the_event_and_loses_nothing(sqlite_repo: Path, tmp_path: Path) -> None:
    """The consumer tries until the lock is gone."""
    log, store = FileEventLog(tmp_path / "log"), FeastActivity(sqlite_repo)
    with consuming(tmp_path / "log", sqlite_repo):
        with closing(sqlite3.connect(sqlite_repo / "data" / "online_store.db")) as other:
            other.execute("BEGIN EXCLUSIVE")
            await log.append([make_event(1, user="fay")])
            await asyncio.sleep(0.3)
            other.rollback()
        wait_until(lambda: "fay" in store.read_users(["fay"]))
    await log.close()


def test_the_process_follows_the_log_and_ends_on_sigterm(sqlite_repo: Path, tmp_path: Path) -> None:
    """It needs its settings alone, and leaves with exit code 0."""
    program = (
        "from pathlib import Path; from banquet.feedback.process import ConsumerSettings, main\n"
        f"main(ConsumerSettings(*map(Path, {[str(tmp_path / 'log'), str(tmp_path / 'consumer.db'), str(sqlite_repo)]})))"
    )
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", program])
    try:
        (tmp_path / "log").mkdir()
        write_segment(tmp_path / "log" / "events-a-000001.log", [make_event(1, user="gus")])
        store = FeastActivity(sqlite_repo)
        give_up_s = time.monotonic() + 60
        while not store.read_users(["gus"]):
            assert time.monotonic() < give_up_s
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("repo", ["sqlite_repo", "redis_repo"])
async def test_evaluation_users_come_and_go(repo: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """They have a history online, change no item, and are forgotten all at once while the consumer runs; then they come again."""
    store, log = FeastActivity(request.getfixturevalue(repo)), FileEventLog(tmp_path / "log")
    state = tmp_path / "log/consumer.db"
    guests = [evaluation_user(number) for number in range(600)]
    with consuming(tmp_path / "log", request.getfixturevalue(repo)):
        for turn in ("once", "again"):
            # Of any time: what they did may be older than the last time they were forgotten.
            visits = [
                make_event(n, user=guest, item=f"{repo}-{n}", event_id=f"{turn}-{guest}-{n}", time_us=NOW_US - 10**12 + n)
                for guest in guests
                for n in (1, 2)
            ]
            await log.append([*visits, make_event(3, user="lea", item=f"{repo}-1", event_id=f"{turn}-lea", time_us=NOW_US)])
            wait_until(
                lambda: set(store.read_users([*guests, "lea"])) == {*guests, "lea"} and consumer_lag(tmp_path / "log", state).none
            )
            assert store.read_users(guests[-1:])[guests[-1]].history == (f"{repo}-2", f"{repo}-1")
            assert erase_evaluation_users(tmp_path / "log", state) == len(visits)
            wait_until(lambda: is_erased_online(state, EVERY_EVALUATION_USER))
            assert set(store.read_users([*guests, "lea"])) == {"lea"}
            assert count_evaluation_users(tmp_path / "log", state) == 0
        wait_until(lambda: consumer_lag(tmp_path / "log", state).none)
    items = store.read_items([f"{repo}-1", f"{repo}-2"])
    assert {item: row.interaction_count for item, row in items.items()} == {f"{repo}-1": 2}
    await log.close()
