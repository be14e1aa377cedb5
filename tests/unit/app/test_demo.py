"""The demo does each step once."""

from pathlib import Path

import pytest
from banquet_client import Answer, BanquetClient, Degradation, Receipt, Recommendation

from banquet.app.demo import Ledger, fingerprint, tour


def test_a_step_is_done_once_per_key(tmp_path: Path) -> None:
    """The same key again does nothing; another key, or another file in its place, does it again."""
    ledger, made, done = Ledger(tmp_path / "demo.json"), tmp_path / "current", []

    def work() -> None:
        done.append(1)
        made.write_text("made here")

    for key in ["a", "a", "b"]:
        ledger.once("train", key, made, work)
    assert len(done) == 2
    made.write_text("made elsewhere")
    ledger.once("train", "b", made, work)
    made.unlink()
    ledger.once("train", "b", made, work)
    assert len(done) == 4


def test_a_failed_step_is_tried_again(tmp_path: Path) -> None:
    """Only what succeeded is noted."""
    ledger, done = Ledger(tmp_path / "demo.json"), []
    with pytest.raises(ZeroDivisionError):
        ledger.once("train", "a", tmp_path / "current", lambda: 1 / 0)
    ledger.once("train", "a", tmp_path / "current", lambda: done.append(1))
    assert done == [1]


def test_a_changed_file_changes_the_fingerprint(tmp_path: Path) -> None:
    """So that new data is taken and old data is not imported again."""
    file = tmp_path / "ratings.csv"
    file.write_text("a")
    before = fingerprint(tmp_path)
    assert fingerprint(tmp_path) == before
    file.write_text("ab")
    assert fingerprint(tmp_path) != before


def test_an_answer_that_came_without_the_user_shows_no_click(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Popular items lack the one that was clicked, too."""
    late = (Degradation("users", "timeout"),)
    answers = [answer("clicked"), answer("clicked"), answer("popular", late), answer("next")]
    tour(Scripted(answers), ["u1"], tmp_path)
    assert "popular" not in capsys.readouterr().out
    assert not answers


def answer(item: str, degradations: tuple[Degradation, ...] = ()) -> Answer:
    return Answer("r", (Recommendation(item, 1.0, "cascade"),), "release", "catalogue", 0.0, degradations)


class Scripted(BanquetClient):
    """Gives the answers it was given, one by one."""

    def __init__(self, answers: list[Answer]) -> None:
        self._answers = answers

    def recommend(self, *_: object, **__: object) -> Answer:
        return self._answers.pop(0)

    def similar(self, *_: object, **__: object) -> Answer:
        return answer("like it")

    def record(self, *_: object, **__: object) -> Receipt:
        return Receipt(1, 0)
