from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banquet.core.errors import BadData
from banquet.training.datasets import dataset as module
from banquet.training.datasets.dataset import TIME, Dataset, assemble

if TYPE_CHECKING:
    from pathlib import Path


def events(rows: list[tuple[str, str, int]]) -> pa.Table:
    users, items, seconds = zip(*rows, strict=True)
    times = pa.array([s * 1_000_000 for s in seconds], pa.int64()).cast(TIME)
    return pa.table({"user_id": users, "item_id": items, "event_type": ["click"] * len(rows), "event_time": times})


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3)), min_size=1, max_size=30))
def test_a_users_events_keep_their_order(rows: list[tuple[str, int]]) -> None:
    """Within a user events are in time order, and equal times keep the order they were given in."""
    made = assemble("d", events([(user, f"{k}", time) for k, (user, time) in enumerate(rows)]))
    by_user: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in made.interactions.to_pylist():
        by_user[row["user_id"]].append((int(row["event_time"].timestamp()), int(row["item_id"])))
    assert all(entries == sorted(entries) for entries in by_user.values())
    assert sum(map(len, by_user.values())) == len(rows)


def test_a_dataset_survives_writing_and_loading(tmp_path: Path) -> None:
    """Tables and facts are the same after a round trip."""
    made = assemble("d", events([("u", "i", 5), ("v", "j", 3)]))
    made.write(tmp_path / "data")
    again = Dataset.load(tmp_path / "data")
    assert again.interactions.equals(made.interactions)
    assert again.items.to_pylist() == [{"item_id": "j", "available": True}, {"item_id": "i", "available": True}]
    assert again.interactions["event_id"].to_pylist() == ["d-1", "d-0"]


def test_the_old_dataset_stays_when_writing_the_new_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk while writing leaves the old dataset as it was and no litter beside it."""
    folder = tmp_path / "data"
    assemble("old", events([("u", "i", 5)])).write(folder)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.pq, "write_table", full)
    with pytest.raises(OSError, match="No space"):
        assemble("new", events([("u", "i", 5)])).write(folder)
    monkeypatch.undo()
    assert Dataset.load(folder).name == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]


def test_a_new_dataset_replaces_an_old_one(tmp_path: Path) -> None:
    """The second write wins and leaves one folder."""
    for name in ("old", "new"):
        assemble(name, events([("u", "i", 5)])).write(tmp_path / "data")
    assert Dataset.load(tmp_path / "data").name == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]


def test_a_folder_with_other_files_is_never_replaced(tmp_path: Path) -> None:
    """`--out` aimed at one's own files is refused."""
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BadData, match="holds other files and no dataset"):
        assemble("d", events([("u", "i", 5)])).write(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_loading_names_what_is_wrong(tmp_path: Path) -> None:
    """A missing file, column or type is named with the file."""
    with pytest.raises(BadData, match=r"users\.parquet.*not there; make one with"):
        Dataset.load(tmp_path)
    assemble("d", events([("u", "i", 5)])).write(tmp_path / "data")
    users = tmp_path / "data" / "users.parquet"
    pq.write_table(pa.table({"user_id": [1]}), users)
    with pytest.raises(BadData, match=r"users\.parquet: column 'user_id' is int64, wanted string"):
        Dataset.load(tmp_path / "data")
    users.write_bytes(b"torn")
    with pytest.raises(BadData, match="cannot be read as a dataset"):
        Dataset.load(tmp_path / "data")
