"""From a real served log and a real event log to a training set."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from banquet.app.recorded import read_recorded
from banquet.core.errors import BadData
from banquet.core.evaluation_users import evaluation_user
from banquet.core.pseudonyms import Pseudonyms
from banquet.feedback.event_log import FileEventLog
from banquet.feedback.events import Event, decode
from banquet.stages.sinks.served_files import served_files
from banquet.training.datasets.dataset import Dataset
from banquet.training.served.build import Built, build
from banquet.training.served.erase import count_user, erase_user
from banquet.training.served.labels import Windows
from tests.integration.served.conftest import TOMORROW
from tests.integration.served.planted import ROUNDS, SHOWN, USERS, Planted

Trainset = tuple[Path, Built]


def test_everything_shown_is_in_the_table_once(planted: Planted, trainset: Trainset) -> None:
    """With position, propensity and label; a click is on the row that it was made on."""
    folder, built = trainset
    table = pq.read_table(folder / "served.parquet")
    assert (built.answers, built.shown, built.taken) == (USERS * ROUNDS, USERS * ROUNDS * SHOWN, planted.clicks)
    assert (table.num_rows, built.unripe, built.damaged) == (built.shown, 0, 0)
    assert sum(each["taken"] for each in built.positions) == planted.clicks
    rows = {(row["request_id"], row["item_id"]): row for row in table.to_pylist()}
    events = read_recorded(planted.events).to_pylist()
    assert all(rows[event["request_id"], event["item_id"]]["clicked"] for event in events)
    assert sum(row["clicked"] for row in rows.values()) == len(events)


def test_a_row_has_what_its_answer_had(planted: Planted, trainset: Trainset) -> None:
    """User features and history as the models got them, scores and chances exactly."""
    rows = pq.read_table(trainset[0] / "served.parquet").to_pylist()
    answer = planted.answers[-1]
    mine = sorted((row for row in rows if row["request_id"] == answer.query.request_id), key=lambda row: row["position"])
    ids = answer.query.catalogue.item_ids
    assert [row["item_id"] for row in mine] == [ids[row] for row in answer.picks.rows]
    assert [row["score"] for row in mine] == answer.picks.scores.tolist()
    np.testing.assert_array_equal([row["propensity"] for row in mine], answer.selection.chances[answer.selection.picks])
    assert mine[0]["user"] == dict(answer.query.user.values)
    assert mine[0]["history"] == list(answer.query.user.history)


def test_the_dataset_has_the_events_once(planted: Planted, trainset: Trainset, tmp_path: Path) -> None:
    """Building on a dataset that has them adds none."""
    dataset = Dataset.load(trainset[0])
    assert dataset.interactions.num_rows == planted.base.interactions.num_rows + planted.clicks
    again = build(served_files(planted.served), read_recorded(planted.events), dataset, tmp_path / "again", Windows(), TOMORROW)
    assert Dataset.load(tmp_path / "again").interactions.num_rows == dataset.interactions.num_rows
    assert again.taken == planted.clicks


def test_an_export_of_the_events_builds_the_same(planted: Planted, trainset: Trainset, tmp_path: Path) -> None:
    """A parquet file from the event stream, under the stream's names."""
    events = read_recorded(planted.events)
    export = events.rename_columns([{"event_type": "type"}.get(name, name) for name in events.column_names])
    pq.write_table(export, tmp_path / "export.parquet")
    built = build(
        served_files(planted.served),
        read_recorded(tmp_path / "export.parquet"),
        planted.base,
        tmp_path / "t",
        Windows(),
        TOMORROW,
    )
    assert built == trainset[1]


def test_what_may_still_be_taken_is_left_out(planted: Planted, tmp_path: Path) -> None:
    """Now, no window is over; the error says what to do, and nothing is written."""
    with pytest.raises(BadData, match="shorter windows"):
        build(
            served_files(planted.served),
            read_recorded(planted.events),
            planted.base,
            tmp_path / "t",
            Windows(),
            datetime.now(UTC),
        )
    assert list(tmp_path.iterdir()) == []


def test_an_unreadable_file_is_counted_not_fatal(planted: Planted, tmp_path: Path) -> None:
    """As after a disk error."""
    shutil.copytree(planted.served, tmp_path / "served")
    served_files(tmp_path / "served")[0].with_name("zz-000001.parquet").write_bytes(b"PAR1 torn")
    built = build(
        served_files(tmp_path / "served"), read_recorded(planted.events), planted.base, tmp_path / "t", Windows(), TOMORROW
    )
    assert (built.damaged, built.shown) == (1, USERS * ROUNDS * SHOWN)


def test_pseudonyms_in_the_log_become_the_users_they_stand_for(planted: Planted, trainset: Trainset, tmp_path: Path) -> None:
    """So that events without a request and the dataset's users are found."""
    shutil.copytree(planted.served, tmp_path / "served")
    pseudonyms = Pseudonyms(b"secret")
    for file in served_files(tmp_path / "served"):
        table = pq.read_table(file)
        names = [pseudonyms.of(user) for user in table["user_id"].to_pylist()]
        pq.write_table(table.set_column(table.column_names.index("user_id"), "user_id", [names]), file)
    events = read_recorded(planted.events)
    nameless = events.set_column(events.column_names.index("request_id"), "request_id", [[""] * events.num_rows])
    files = served_files(tmp_path / "served")
    built = build(files, nameless, planted.base, tmp_path / "t", Windows(), TOMORROW, pseudonyms.of)
    assert built.taken == planted.clicks
    table, expected = (pq.read_table(folder / "served.parquet", columns=["user_id"]) for folder in (tmp_path / "t", trainset[0]))
    assert table.equals(expected)


def test_a_user_can_be_erased_from_a_training_set(trainset: Trainset, tmp_path: Path) -> None:
    """From interactions, users and what was shown; the rest stays a training set."""
    shutil.copytree(trainset[0], tmp_path / "t")
    before = Dataset.load(tmp_path / "t")
    assert count_user(tmp_path / "t", "u7") > ROUNDS * SHOWN
    assert erase_user(tmp_path / "t", "u7") > ROUNDS * SHOWN
    assert count_user(tmp_path / "t", "u7") == 0
    after = Dataset.load(tmp_path / "t")
    for table in (after.interactions, after.users, pq.read_table(tmp_path / "t/served.parquet")):
        assert "u7" not in table["user_id"].to_pylist()
    assert after.users.num_rows == before.users.num_rows - 1
    assert erase_user(tmp_path / "t", "u7") == 0


@pytest.mark.parametrize("exported", [False, True])
async def test_evaluation_users_are_left_out(planted: Planted, tmp_path: Path, exported: bool) -> None:
    """Their events, from the log or an export, and answers to them that another program wrote into the served log."""
    guest = evaluation_user(7)
    events, served = shutil.copytree(planted.events, tmp_path / "events"), shutil.copytree(planted.served, tmp_path / "served")
    log = FileEventLog(events)
    await log.append([Event(f"guest{item}", "click", guest, f"i{item}", 1_700_000_000_000_000) for item in range(3)])
    await log.close()
    if exported:
        everybody = pa.table(
            {
                name: [getattr(event, name) for batch in read_all(events) for event in batch]
                for name in ("event_id", "user_id", "item_id", "type", "time_us")
            }
        )
        times = everybody["time_us"].cast(pa.timestamp("us"))
        pq.write_table(everybody.set_column(4, "time_us", times), tmp_path / "export.parquet")
        events = tmp_path / "export.parquet"
    answers = pq.read_table(served_files(served)[0])
    place = answers.column_names.index("user_id")
    theirs = answers.set_column(place, "user_id", pa.array([guest] * answers.num_rows))
    pq.write_table(theirs, served_files(served)[0].with_name("other-000001.parquet"))

    built = build(served_files(served), read_recorded(events), planted.base, tmp_path / "out", Windows(), TOMORROW)
    assert (built.answers, built.taken, built.events) == (USERS * ROUNDS, planted.clicks, planted.clicks)
    dataset = Dataset.load(tmp_path / "out")
    for users in (dataset.users, dataset.interactions, pq.read_table(tmp_path / "out/served.parquet")):
        assert guest not in users["user_id"].to_pylist()


def read_all(folder: Path) -> list[list[Event]]:
    return [decode(file.read_bytes()).events for file in folder.glob("*.log")]
