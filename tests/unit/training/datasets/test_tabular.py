from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banquet.core.errors import BadData, BadSettings
from banquet.training.datasets import columns
from banquet.training.datasets.importing import Reading, import_data
from banquet.training.datasets.source import Source
from banquet.training.datasets.tabular import Naming, parse_names

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "user_id,item_id,event_time,value\n"
GOOD = "a,x,2024-05-01 10:00:00,5\n"
FUTURE = "2261-01-01 00:00:00"


def test_csv_tables_become_a_dataset(shop) -> None:
    """Types follow the columns, lists are split, text is no feature, and events are in time order."""
    made = import_data(shop(), reading=Reading(Naming(lists=("genres",))))
    assert made.name == "shop"
    assert made.interactions["item_id"].to_pylist() == ["y", "x", "x"]
    assert made.interactions["event_type"].to_pylist() == ["rating"] * 3
    assert made.items.to_pylist()[0] == {
        "item_id": "x",
        "title": "The X",
        "genres": ["Drama", "War"],
        "price": 2.5,
        "available": True,
    }
    assert made.items["genres"].to_pylist()[1] in (None, [])
    assert made.users.to_pylist()[1] == {"user_id": "b", "age": None, "town": "Oslo"}
    assert (made.user_features, made.item_features) == (("age", "town"), ("genres", "price"))


def test_a_mapping_names_anyones_columns(tmp_path: Path) -> None:
    """Own names, unix milliseconds and whole-number ids are taken as they come."""
    at = datetime(2024, 5, 1, 12, tzinfo=UTC)
    own = pa.table({"visitor": [7, 8], "sku": ["x", "y"], "at": [int(at.timestamp() * 1000)] * 2, "page": ["a", "b"]})
    pq.write_table(own, tmp_path / "clicks.parquet")
    naming = Naming(parse_names(["user_id=visitor,item_id=sku", "event_time=at"]))
    made = import_data(tmp_path / "clicks.parquet", reading=Reading(naming))
    first = made.interactions.to_pylist()[0]
    assert (first["user_id"], first["event_type"], first["event_time"]) == ("7", "click", at)
    with pytest.raises(BadData, match=r"--map user_id=guest: no column 'guest' in .*clicks\.parquet \(visitor, sku, at, page\)"):
        import_data(tmp_path / "clicks.parquet", reading=Reading(Naming({"user_id": "guest"})))


def test_a_mapping_that_is_no_pair_is_refused() -> None:
    """The part that is wrong is quoted, beside how to write it."""
    with pytest.raises(BadSettings, match="--map 'visitor': write it as name=column"):
        parse_names(["visitor"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", r"interactions\.csv: the file has no rows"),
        (f"{GOOD},x,2024-05-01 11:00:00,4\n", r"line 3, column 'user_id': the id is missing; fill it in or remove the row"),
        (f"{GOOD}b,x,2024-05-01 11:00:00,good\n", r"line 3, column 'value': 'good' is not a number; correct it"),
        (f"{GOOD}b,x,2024-05-01 11:00:00,inf\n", r"line 3, column 'value': the number is infinite"),
        (f"{GOOD}b,x,yesterday,4\n", r"line 3, column 'event_time': 'yesterday' is not a time"),
        (f"{GOOD}b,x,,4\n", r"line 3, column 'event_time': the value is missing"),
        (f"{GOOD}b,x,{FUTURE},4\n", r"line 3, column 'event_time': .* is in the future"),
        (GOOD + GOOD, r"line 3, columns user_id, item_id, event_time, event_type: the event .* is in line 2 already; keep one"),
        (f"{GOOD}b,z,2024-05-01 11:00:00,4\n", r"line 3, column 'item_id': item 'z' is not in .*items\.csv; add the item"),
        (f"{GOOD}b,x,2024\n", r"interactions\.csv: not readable as CSV .*[Rr]ow"),
    ],
)
def test_bad_interactions_name_file_row_column_and_remedy(shop, rows: str, message: str) -> None:
    """Each kind of bad row is one error that leads to it."""
    with pytest.raises(BadData, match=message):
        import_data(shop(interactions=HEADER + rows))


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            {"interactions": "user,item_id,event_time\na,x,1\n"},
            r"column 'user_id' is missing; it has user, item_id, event_time.*--map",
        ),
        ({"interactions": ""}, r"interactions\.csv: the file is empty"),
        ({"interactions": "user_id,item_id,event_time,event_type\na,x,1,like\n"}, r"unknown type 'like'; use one of impression"),
        (
            {"interactions": "user_id,item_id,event_time,event_id\na,x,1,e\na,y,2,e\n"},
            r"line 3, column 'event_id': 'e' is in line 2",
        ),
        ({"users": "user_id,age\na,1\na,2\n"}, r"users\.csv, line 3, column 'user_id': 'a' is in line 2 already"),
        ({"users": "user_id,price\na,1\n"}, r"items\.csv: columns 'price' have names that are used in .*users\.csv too; rename"),
        (
            {"users": "user_id,history,age,created\na,1,2,3\n"},
            r"users\.csv: columns 'history', 'created' have names that Banquet.* --leave-out history,created",
        ),
        (
            {"items": "item_id,available\nx,true\ny,maybe\n"},
            r"items\.csv, line 3, column 'available': 'maybe' is not true or false",
        ),
        ({"items": "sku\nx\n"}, r"items\.csv: column 'item_id' is missing"),
    ],
)
def test_bad_tables_name_file_column_and_remedy(shop, tables: dict[str, str], message: str) -> None:
    """What is wrong with a whole table is said with its name."""
    with pytest.raises(BadData, match=message):
        import_data(shop(**tables))


def test_columns_can_be_left_out(tmp_path: Path) -> None:
    """So a Feast source serves as a table of users, times and all; a column that no table has is a slip of the pen."""
    now = datetime(2024, 5, 1, tzinfo=UTC)
    pq.write_table(pa.table({"user_id": ["a"], "item_id": ["x"], "event_time": [1]}), tmp_path / "interactions.parquet")
    users = pa.table({"user_id": ["a"], "age": [30], "history": [["x"]], "event_timestamp": [now], "created": [now]})
    pq.write_table(users, tmp_path / "users.parquet")
    made = import_data(tmp_path, reading=Reading(Naming(left_out=("history", "event_timestamp", "created"))))
    assert made.users.to_pylist() == [{"user_id": "a", "age": 30}]
    with pytest.raises(BadData, match="--leave-out hisory: no column 'hisory' in"):
        import_data(tmp_path, reading=Reading(Naming(left_out=("hisory",))))


def test_a_column_of_the_wrong_type_is_named(tmp_path: Path) -> None:
    """Flags are no ids."""
    pq.write_table(pa.table({"user_id": [True], "item_id": ["x"], "event_time": [1]}), tmp_path / "interactions.parquet")
    with pytest.raises(BadData, match="column 'user_id' has type bool; ids are text or whole numbers"):
        import_data(tmp_path)


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_the_first_value_that_does_not_fit_is_the_one_named(fits: list[bool]) -> None:
    """However many rows are wrong, the error leads to the first."""
    source = Source("f.csv", pa.table({"value": ["1.5" if good else "x" for good in fits]}), first_row=2, unit="line")
    if all(fits):
        assert columns.numbers(source, "value").to_pylist() == [1.5] * len(fits)
    else:
        with pytest.raises(BadData, match=rf"f\.csv, line {fits.index(False) + 2}, column"):
            columns.numbers(source, "value")
