"""The served log holds what the models saw, and never holds up an answer."""

import json
import threading
from pathlib import Path

import numpy as np

from banquet.core.candidates import Candidates, joined
from banquet.core.query import Degradation, UserFeatures
from banquet.core.stages import Answer, ModelRun, Timing
from banquet.stages.sinks.served_log import ServedLog, column_of
from tests.fakes import make_query


def make_answer(request_id: str = "r1", **values: object) -> Answer:
    found = [
        Candidates.of("retrieval", np.array([2, 0], np.int32), np.array([0.9, 1 / 3], np.float32)),
        Candidates.of("popular", np.array([1], np.int32), np.array([7.0], np.float32)),
    ]
    candidates = joined(found).ranked(np.array([0.1, np.nan, 0.3], np.float32))
    user = UserFeatures("u1", {"age": 31, "mood": None, "genres": ["a"], **values}, ("i5", "i4"), found=True)
    timings = [Timing("retrieval", 1.0, ModelRun("rel-1", "onnxruntime", 0.5))]
    query = make_query(request_id=request_id).with_user(user)
    return Answer(query, candidates.take(np.array([2, 0])), candidates, [Degradation("ranking", "timeout")], timings, 4.2)


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for path in folder.iterdir() for line in path.read_text().splitlines()]


def test_a_line_holds_the_whole_answer(tmp_path: Path) -> None:
    """User features, candidates with their scores exactly as they were, picks, versions and what was missing."""
    log, answer = ServedLog(tmp_path), make_answer()
    log.take(answer)
    log.close()
    [line] = lines(tmp_path)
    assert line["user"] == {"found": True, "values": {"age": 31, "mood": None, "genres": ["a"]}, "history": ["i5", "i4"]}
    assert (line["request_id"], line["user_id"], line["placement"]) == ("r1", "u1", "home")
    assert (line["release"], line["catalogue"]) == ("rel-1", answer.query.catalogue.version)
    assert line["candidates"]["item_ids"] == ["i2", "i0", "i1"]
    sources = column_of(line["candidates"]["sources"], "i1")
    assert [line["candidates"]["source_names"][source] for source in sources] == ["retrieval", "retrieval", "popular"]
    np.testing.assert_array_equal(column_of(line["candidates"]["scores"]), answer.candidates.scores)
    np.testing.assert_array_equal(column_of(line["candidates"]["ranking"]), answer.candidates.ranking)
    assert [(pick["position"], pick["item_id"], pick["source"]) for pick in line["picks"]] == [
        (0, "i1", "popular"),
        (1, "i2", "retrieval"),
    ]
    assert line["degradations"] == [{"stage": "ranking", "reason": "timeout"}]


def test_every_answer_is_written_before_close_returns(tmp_path: Path) -> None:
    """In the order of the answers, to one file per process and hour."""
    log = ServedLog(tmp_path)
    for number in range(200):
        log.take(make_answer(f"r{number}"))
    log.close()
    assert [line["request_id"] for line in lines(tmp_path)] == [f"r{number}" for number in range(200)]
    assert log.dropped == 0


def test_when_too_many_wait_the_rest_is_dropped_and_counted(tmp_path: Path) -> None:
    """Taking an answer never waits for the disk."""
    log, gate = ServedLog(tmp_path, max_waiting=2), threading.Event()
    write = log._files.write
    log._files.write = lambda *args, **kwargs: (gate.wait(10), write(*args, **kwargs))
    for number in range(10):
        log.take(make_answer(f"r{number}"))
    assert log.dropped >= 7
    gate.set()
    log.close()
    assert len(lines(tmp_path)) == 10 - log.dropped


def test_one_answer_that_cannot_be_written_costs_itself(tmp_path: Path) -> None:
    """The log goes on with the next."""
    log = ServedLog(tmp_path)
    broken = make_answer()
    object.__setattr__(broken, "picks", None)
    log.take(broken)
    log.take(make_answer("r2"))
    log.close()
    assert [line["request_id"] for line in lines(tmp_path)] == ["r2"]
    assert log.dropped == 1


def test_numpy_and_missing_numbers_are_plain_json(tmp_path: Path) -> None:
    """Strict readers take the file."""
    log = ServedLog(tmp_path)
    log.take(make_answer(score=float("nan"), height=np.float32(1.5), tags=np.array([1, 2])))
    log.close()
    values = lines(tmp_path)[0]["user"]["values"]
    assert (values["score"], values["height"], values["tags"]) == (None, 1.5, [1, 2])


def test_a_closed_log_takes_nothing(tmp_path: Path) -> None:
    """What comes too late is counted."""
    log = ServedLog(tmp_path)
    log.close()
    log.take(make_answer())
    assert (log.dropped, list(tmp_path.iterdir())) == (1, [])
