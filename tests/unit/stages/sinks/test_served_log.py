"""The served log holds what the models saw, and never holds up an answer."""

import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from banquet.core.candidates import Candidates, joined
from banquet.core.evaluation_users import evaluation_user
from banquet.core.query import Degradation, UserFeatures
from banquet.core.stages import Answer, ModelRun, Selection, Timing
from banquet.stages.sinks import served_log
from banquet.stages.sinks.served_files import Shelf, count_user, erase_user, hour_of, served_files
from banquet.stages.sinks.served_log import DROPPED, ServedLog
from banquet.stages.sinks.served_rows import Taken, best_first, rows_of
from tests.fakes import make_query

PROJECT = Path(__file__).parents[4]


def make_answer(request_id: str = "r1", user_id: str = "u1", chances: object = None, **values: object) -> Answer:
    found = [
        Candidates.of("retrieval", np.array([2, 0], np.int32), np.array([0.9, 1 / 3], np.float32)),
        Candidates.of("popular", np.array([1], np.int32), np.array([7.0], np.float32)),
    ]
    candidates = joined(found).ranked(np.array([0.1, np.nan, 0.3], np.float32))
    user = UserFeatures(user_id, {"age": 31, "mood": None, "genres": ["a"], **values}, ("i5", "i4"), found=True)
    timings = [Timing("retrieval", 1.0, ModelRun("rel-1", "onnxruntime", 0.5))]
    query = make_query(request_id=request_id, user_id=user_id).with_user(user)
    selection = Selection(np.array([2, 0]), chances)
    return Answer(
        query, candidates.take(selection.picks), candidates, selection, [Degradation("ranking", "timeout")], timings, 4.2
    )


def rows(folder: Path) -> list[dict]:
    return [row for path in served_files(folder) for row in pq.read_table(path).to_pylist()]


def test_a_row_holds_the_whole_answer(tmp_path: Path) -> None:
    """User features with their types, candidates best first with exact scores, picks, versions, what was missing."""
    log, answer = ServedLog(tmp_path), make_answer()
    log.take(answer)
    log.close()
    [row] = rows(tmp_path)
    assert row["user"] == {"age": 31, "genres": ["a"], "mood": None}
    assert (row["request_id"], row["user_id"], row["placement"], row["history"]) == ("r1", "u1", "home", ["i5", "i4"])
    assert (row["release"], row["catalogue"]) == ("rel-1", answer.query.catalogue.version)
    assert abs(row["time"] - datetime.now(UTC)) < timedelta(seconds=10)
    assert row["degradations"] == [{"stage": "ranking", "reason": "timeout"}]
    shown = [(item["item_id"], item["source"], item["rank"], item["position"]) for item in row["candidates"]]
    assert shown == [("i1", "popular", 0, 0), ("i2", "retrieval", 1, 1), ("i0", "retrieval", 2, None)]
    assert [np.float32(item["score"]) for item in row["candidates"]] == [np.float32(7), np.float32(0.9), np.float32(1 / 3)]
    assert [item["propensity"] for item in row["candidates"]] == [1.0, 1.0, 0.0]
    assert np.isnan(row["candidates"][2]["ranking"])


def test_chances_of_an_exploring_selector_are_logged(tmp_path: Path) -> None:
    """As the propensity of shown and unshown candidates alike."""
    log = ServedLog(tmp_path)
    log.take(make_answer(chances=np.array([0.75, 0.5, 0.25], np.float32)))
    log.close()
    assert {item["item_id"]: item["propensity"] for item in rows(tmp_path)[0]["candidates"]} == {
        "i2": 0.75,
        "i0": 0.5,
        "i1": 0.25,
    }


def test_best_first_orders_as_candidates_do() -> None:
    """Every list by itself: falling scores, equal ones as they came, those without a score last."""
    rng = np.random.default_rng(1)
    lists = [
        rng.choice([-np.inf, -2.5, -0.0, 0.0, 1e-30, 3.5, np.inf, np.nan], size).astype(np.float32) for size in (0, 7, 1, 300)
    ]
    lengths = np.array([len(each) for each in lists])
    starts = np.cumsum(lengths) - lengths
    expected = [
        Candidates.of("s", np.zeros(len(each), np.int32), each, ranking=each).in_order() + start
        for each, start in zip(lists, starts, strict=True)
    ]
    np.testing.assert_array_equal(best_first(np.concatenate(lists), starts, lengths), np.concatenate(expected))


def test_every_answer_is_written_before_close_returns(tmp_path: Path) -> None:
    """In the order of the answers."""
    log = ServedLog(tmp_path)
    for number in range(200):
        log.take(make_answer(f"r{number}"))
    log.close()
    assert {row["request_id"] for row in rows(tmp_path)} == {f"r{number}" for number in range(200)}
    assert log.dropped == 0


def test_answers_are_flushed_while_the_log_is_open(tmp_path: Path) -> None:
    """What a crash costs is bounded by `flush_s`."""
    log = ServedLog(tmp_path, flush_s=0.5)
    log.take(make_answer())
    deadline_s = time.monotonic() + 10
    while not rows(tmp_path) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert len(rows(tmp_path)) == 1
    log.close()


def test_when_too_many_wait_the_rest_is_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taking an answer never waits for the disk; the drops are a metric."""
    gate = threading.Event()
    monkeypatch.setattr(served_log, "rows_of", lambda *given: (gate.wait(10), rows_of(*given))[1])
    before = DROPPED.labels("queue_full")._value.get()
    log = ServedLog(tmp_path, max_waiting=2)
    for number in range(10):
        log.take(make_answer(f"r{number}"))
    assert log.dropped >= 6
    assert DROPPED.labels("queue_full")._value.get() == before + log.dropped
    gate.set()
    log.close()
    assert len(rows(tmp_path)) == 10 - log.dropped


def test_one_answer_that_cannot_be_written_costs_itself(tmp_path: Path) -> None:
    """Those beside it are written."""
    log, broken = ServedLog(tmp_path), make_answer("broken")
    object.__setattr__(broken, "selection", None)
    for answer in (make_answer("r1"), broken, make_answer("r2")):
        log.take(answer)
    log.close()
    assert {row["request_id"] for row in rows(tmp_path)} == {"r1", "r2"}
    assert log.dropped == 1


def test_a_feature_may_change_its_type(tmp_path: Path) -> None:
    """As after `feast apply`: rows before and after are written, each with its own type."""
    log = ServedLog(tmp_path)
    for number, age in enumerate((1, 2, None, "young", None, "old", 3.5)):
        log.take(make_answer(f"r{number}", age=age))
    log.close()
    assert {row["request_id"]: row["user"]["age"] for row in rows(tmp_path)} == {
        "r0": 1, "r1": 2, "r2": None, "r3": "young", "r4": None, "r5": "old", "r6": 3.5,
    }  # fmt: skip


def test_users_without_any_features_are_written(tmp_path: Path) -> None:
    """A pipeline without user features has rows without `user`, and an answer may have no candidates."""
    nobody = make_answer().query.with_user(UserFeatures(""))
    answer = Answer(nobody, Candidates.none(), Candidates.none(), Selection(np.empty(0, np.intp)), [], [], 1.0)
    log = ServedLog(tmp_path)
    log.take(answer)
    log.close()
    [row] = rows(tmp_path)
    assert "user" not in row
    assert (row["candidates"], row["user_found"]) == ([], False)


def test_the_sample_is_of_requests(tmp_path: Path) -> None:
    """The same requests are chosen by every process, about the share that was asked for."""
    logs = [ServedLog(tmp_path / name, sample_rate=0.25) for name in "ab"]
    for log in logs:
        for number in range(400):
            log.take(make_answer(f"r{number}"))
        log.close()
    chosen = [{row["request_id"] for row in rows(tmp_path / name)} for name in "ab"]
    assert chosen[0] == chosen[1]
    assert 60 < len(chosen[0]) < 140


def test_a_closed_log_takes_nothing(tmp_path: Path) -> None:
    """What comes too late is counted."""
    log = ServedLog(tmp_path)
    log.close()
    log.take(make_answer())
    assert (log.dropped, served_files(tmp_path)) == (1, [])


def put(shelf: Shelf, hours_ago: float, answers: int = 1) -> None:
    began_us = int((time.time() - hours_ago * 3600) * 1e6)
    taken = [Taken(make_answer(f"{hours_ago}-{number}"), began_us) for number in range(answers)]
    shelf.put(hour_of(began_us), [rows_of(taken, {"age": pa.int64()})])


def test_old_answers_and_the_oldest_beyond_the_size_go(tmp_path: Path) -> None:
    """By the hour they were given in; so do files that a dead process had not finished."""
    shelf = Shelf(tmp_path, retention_hours=5, max_bytes=1 << 30)
    for hours_ago in (9, 4, 3, 0):
        put(shelf, hours_ago)
    torn = served_files(tmp_path)[-1].with_name(".dead-000001.parquet.part")
    torn.touch()
    shelf.sweep()
    assert [row["request_id"] for row in rows(tmp_path)] == ["4-0", "3-0", "0-0"]
    assert torn.exists()  # it may be on its way
    os.utime(torn, (0, 0))
    Shelf(tmp_path, retention_hours=5, max_bytes=sum(path.stat().st_size for path in served_files(tmp_path)) - 1).sweep()
    assert [row["request_id"] for row in rows(tmp_path)] == ["3-0", "0-0"]
    assert not torn.exists()


def test_a_user_can_be_erased(tmp_path: Path) -> None:
    """From files that are there and from answers that still wait; answers given afterwards are new."""
    log = ServedLog(tmp_path, flush_s=0.5)
    for number in range(20):
        log.take(make_answer(f"r{number}", user_id=f"u{number % 2}"))
    while not served_files(tmp_path):
        time.sleep(0.05)
    log.take(make_answer("waiting", user_id="u1"))
    assert count_user(tmp_path, "u1") == 10
    assert erase_user(tmp_path, "u1") == 10
    assert count_user(tmp_path, "u1") == 0
    time.sleep(0.05)
    log.take(make_answer("again", user_id="u1"))
    log.close()
    assert {row["request_id"] for row in rows(tmp_path) if row["user_id"] == "u1"} == {"again"}
    assert sum(row["user_id"] == "u0" for row in rows(tmp_path)) == 10
    assert erase_user(tmp_path, "nobody") == 0


def test_users_can_be_written_under_other_names(tmp_path: Path) -> None:
    """Nowhere in the files is their own, and they are erased by the name they have there."""
    log = ServedLog(tmp_path, name_user=lambda user: f"hash-of-{len(user)}", flush_s=0.5)
    log.take(make_answer(user_id="ada lovelace"))
    while not served_files(tmp_path):
        time.sleep(0.05)
    log.take(make_answer("waiting", user_id="ada lovelace"))
    assert all(b"lovelace" not in path.read_bytes() for path in served_files(tmp_path))
    assert erase_user(tmp_path, "hash-of-12") == 1
    log.close()
    assert rows(tmp_path) == []


def test_writing_does_not_load_pandas(tmp_path: Path) -> None:
    """A gateway would pay 40 MB and a third of a second, in the middle of serving."""
    code = """
import pathlib, sys
from tests.unit.stages.sinks.test_served_log import ServedLog, make_answer
for module in [name for name in sys.modules if name.split(".")[0] == "pandas"]: raise SystemExit(f"{module} by the test")
log = ServedLog(pathlib.Path(sys.argv[1]))
log.take(make_answer())
log.close()
assert log.dropped == 0
assert "pandas" not in sys.modules
import pyarrow
assert list(pyarrow.table({"a": [1]}).to_pandas()["a"]) == [1]
"""
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False, cwd=PROJECT)
    assert ran.returncode == 0, ran.stderr
    assert len(served_files(tmp_path)) == 1


def test_a_killed_process_leaves_only_whole_files(tmp_path: Path) -> None:
    """SIGKILL in the middle of writing costs what was not yet flushed; the next process clears up."""
    code = """
import itertools, pathlib, sys, time
from banquet.stages.sinks import served_log
from tests.unit.stages.sinks.test_served_log import make_answer
served_log.POLL_S = 0.01
log = served_log.ServedLog(pathlib.Path(sys.argv[1]), flush_s=0.01)
for number in itertools.count():
    log.take(make_answer(f"r{number:06d}"))
    time.sleep(0.001)
"""
    writer = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=PROJECT)
    deadline_s = time.monotonic() + 30
    while len(served_files(tmp_path)) < 20 and time.monotonic() < deadline_s:
        time.sleep(0.01)
    writer.kill()
    writer.wait()
    found = [row["request_id"] for row in rows(tmp_path)]
    assert len(served_files(tmp_path)) >= 20
    assert found == [f"r{number:06d}" for number in range(len(found))]
    for part in tmp_path.glob("*/.*.part"):
        os.utime(part, (0, 0))
    Shelf(tmp_path, retention_hours=1, max_bytes=1 << 30).sweep()
    assert list(tmp_path.glob("*/.*.part")) == []
    assert len(rows(tmp_path)) == len(found)


def test_answers_to_evaluation_users_are_not_written(tmp_path: Path) -> None:
    """Under no name, and they are not missing: nothing was dropped."""
    log = ServedLog(tmp_path, name_user=lambda user: f"hash-of-{user}")
    log.take(make_answer("r1", evaluation_user(5)))
    log.take(make_answer("r2"))
    log.close()
    assert [(row["request_id"], row["user_id"]) for row in rows(tmp_path)] == [("r2", "hash-of-u1")]
    assert log.dropped == 0
