"""Commits counted by SQLite against commits told of."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from banquet.features.catalogue.sqlite_commits import GRACE_S, CommitCount, Ledger
from banquet.features.stores.sqlite import connect

START_S = 1000.0
WRITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("INSERT INTO t VALUES (2)")
connection.commit()
connection.close()
"""


@pytest.fixture
def ledger() -> Ledger:
    """One that began a while ago, at 7 commits."""
    ledger = Ledger()
    ledger.foreign(7, 0, START_S - 1)
    ledger.foreign(7, 0, START_S)
    return ledger


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_every_commit_counts_one(tmp_path: Path, mode: str) -> None:
    """In the file or in the log's index; a transaction that wrote nothing is none, and a checkpoint is not one either."""
    file = tmp_path / "store.db"
    writer = sqlite3.connect(file)
    writer.execute(f"PRAGMA journal_mode = {mode}")
    writer.execute("CREATE TABLE t (a)")
    reader = connect(file, 1.0)
    reader.execute("PRAGMA data_version").fetchone()
    count = CommitCount(file)
    before = count.read(reader)
    assert before is not None
    for number in range(3):
        writer.execute("INSERT INTO t VALUES (?)", (number,))
        writer.execute("INSERT INTO t VALUES (?)", (number,))
        writer.commit()
        assert count.read(reader) == before + number + 1
    writer.execute("PRAGMA wal_checkpoint(PASSIVE)")
    writer.execute("UPDATE t SET a = 1 WHERE a = 99")
    writer.commit()
    assert count.read(reader) == before + 3
    reader.close()
    writer.close()


def test_counting_leaves_the_locks_of_ones_own_connections(tmp_path: Path) -> None:
    """A writer in another process must not take itself for the last one and remove the log that we are reading."""
    file = tmp_path / "store.db"
    with closing(sqlite3.connect(file)) as writer:
        writer.executescript("PRAGMA journal_mode = wal; CREATE TABLE t (a); INSERT INTO t VALUES (1);")
        with closing(connect(file, 1.0)) as reader:
            reader.execute("SELECT * FROM t").fetchall()
            writer.close()
            count = CommitCount(file)
            before = count.read(reader)
            subprocess.run([sys.executable, "-c", WRITE, str(file)], check=True)
            assert file.with_name("store.db-wal").stat().st_size > 0
            assert count.read(reader) == before + 1
            assert reader.execute("SELECT count(*) FROM t").fetchone() == (2,)
        count.close()


def test_commits_that_were_told_of_are_nobody_elses(ledger: Ledger) -> None:
    """Whenever they are told: all until the last complete look is accounted for."""
    assert not ledger.foreign(9, 2, START_S + 1)
    assert ledger.as_of_s == START_S + 1
    assert not ledger.foreign(11, 0, START_S + 2)
    assert ledger.as_of_s == START_S + 1
    assert not ledger.foreign(12, 2, START_S + 2.2)
    assert ledger.as_of_s == START_S + 2
    assert not ledger.foreign(12, 1, START_S + 2.4)
    assert ledger.as_of_s == START_S + 2.4


def test_a_commit_nobody_tells_of_is_foreign_after_a_while(ledger: Ledger) -> None:
    """Its writer may still be about to tell."""
    assert not ledger.foreign(9, 1, START_S + 1)
    assert not ledger.foreign(9, 0, START_S + 1 + GRACE_S / 2)
    assert ledger.foreign(9, 0, START_S + 1 + 1.1 * GRACE_S)


def test_after_a_foreign_commit_nothing_is_believed_for_a_moment(ledger: Ledger) -> None:
    """What is told late must not stand for another foreign commit."""
    ledger.foreign(8, 0, START_S + 1)
    assert ledger.foreign(8, 0, START_S + 2)
    assert ledger.foreign(9, 1, START_S + 2.1)
    assert not ledger.foreign(9, 0, START_S + 2.2)
    assert not ledger.foreign(10, 1, START_S + 3)


@pytest.mark.parametrize("counted", [3, None])
def test_a_count_that_begins_anew_is_foreign(ledger: Ledger, counted: int | None) -> None:
    """The log's index was made again, or cannot be read."""
    assert ledger.foreign(counted, 0, START_S + 1)


def test_more_told_than_counted_is_foreign(ledger: Ledger) -> None:
    """Something does not add up."""
    assert ledger.foreign(8, 2, START_S + 1)
