"""Ids: what they may be, and those that are two for one."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from banquet.core.errors import BadData
from banquet.core.limits import MAX_EVENT_ID_BYTES, MAX_ID_BYTES
from banquet.training.datasets import columns
from banquet.training.datasets.importing import import_data
from banquet.training.datasets.source import Source

if TYPE_CHECKING:
    from pathlib import Path


def read(*values: object, kind: pa.DataType | None = None, name: str = "user_id") -> list[str]:
    found: list[str] = columns.ids(Source("f", pa.table({name: pa.array(list(values), kind)})), name).to_pylist()
    return found


@pytest.mark.parametrize(
    "kind",
    [
        *(pa.int64(), pa.uint8(), pa.float32(), pa.float64(), pa.decimal128(38, 0), pa.decimal128(10, 2), pa.decimal256(60, 4)),
        pa.dictionary(pa.int32(), pa.int64()),
    ],
)
def test_whole_numbers_are_their_digits(kind: pa.DataType) -> None:
    """However a store or pandas keeps them."""
    numbers = [Decimal(7), Decimal(0)] if pa.types.is_decimal(kind) else [7, 0]
    assert read(*numbers, kind=kind) == ["7", "0"]


def test_texts_stay_as_they_are() -> None:
    """Zeros in front, line breaks, words for nothing, letters of any alphabet."""
    odd = ["007", "7", "line\nbreak", "null", "NaN", "a\u2028b", "a\x85b", "é", "e\u0301", "[red]", "1.5", "a b"]
    assert read(*odd) == odd


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ((1.0, 1.5), None, "row 2, column 'user_id': 1.5 is not a whole number"),
        ((Decimal("1.00"), Decimal("1.50")), None, r"row 2, column 'user_id': Decimal\('1.50'\) is not a whole number"),
        ((1.0, float("nan")), None, "row 2, column 'user_id': the id is missing"),
        ((1.0, float("inf")), None, "row 2, column 'user_id': double does not keep so large a number"),
        ((1.0, 2.0**53 + 2), None, "row 2, column 'user_id': double does not keep so large a number exactly; write ids as text"),
        ((2.0**24 + 2,), pa.float32(), "row 1, column 'user_id': float does not keep"),
        (("a", None), None, "row 2, column 'user_id': the id is missing"),
        (("a", " \t"), None, "row 2, column 'user_id': the id is missing"),
        (("a", "x" * (MAX_ID_BYTES + 1)), None, f"row 2, column 'user_id': the id has more than {MAX_ID_BYTES} bytes"),
        (("ü" * (MAX_ID_BYTES // 2 + 1),), None, f"row 1, column 'user_id': the id has more than {MAX_ID_BYTES} bytes"),
        ((True,), None, "has type bool; ids are text or whole numbers"),
    ],
)
def test_what_can_be_no_id_is_named(values: tuple[object, ...], kind: pa.DataType | None, message: str) -> None:
    """Row, column and remedy."""
    with pytest.raises(BadData, match=message):
        read(*values, kind=kind)


def test_the_longest_ids_of_the_api_are_read() -> None:
    """And not a byte more; ids of events are shorter."""
    assert read("x" * MAX_ID_BYTES, name="item_id") == ["x" * MAX_ID_BYTES]
    assert read("x" * MAX_EVENT_ID_BYTES, name="event_id") == ["x" * MAX_EVENT_ID_BYTES]
    with pytest.raises(BadData, match=f"more than {MAX_EVENT_ID_BYTES} bytes"):
        read("x" * (MAX_EVENT_ID_BYTES + 1), name="event_id")


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            {"users": "user_id,town\n7,Rome\n", "user": "7.0"},
            r"interactions\.csv, line 2, column 'user_id': '7.0' is another id than '7'",
        ),
        (
            {"users": "user_id,town\n7.0,Rome\n", "user": "7"},
            r"users\.csv, line 2, column 'user_id': '7.0' is another id than '7'",
        ),
        (
            {"items": "item_id,price\n7,1\n", "item": "7.0"},
            r"interactions\.csv, line 2, column 'item_id': '7.0' is another id than '7'",
        ),
        (
            {"items": "item_id,price\n7.00,1\n", "item": "7"},
            r"items\.csv, line 2, column 'item_id': '7.00' is another id than '7'",
        ),
    ],
)
def test_an_id_that_became_a_decimal_is_named(shop, tables: dict[str, str], message: str) -> None:
    """As pandas makes 7.0 of 7 where a column has gaps: for users as for items, whichever file it is in."""
    rows = f"user_id,item_id,event_time\n{tables.get('user', 'a')},{tables.get('item', 'x')},2024-05-01\n"
    with pytest.raises(BadData, match=message):
        import_data(shop(rows, tables.get("users"), tables.get("items")))


def test_two_spellings_in_one_file_are_named(shop) -> None:
    """Without any other table; ids that only look like decimals are fine by themselves."""
    rows = "user_id,item_id,event_time\n7,x,2024-05-01\n7.0,x,2024-05-02\n"
    with pytest.raises(BadData, match=r"line 3, column 'user_id': '7\.0' is another id than '7', which is there too"):
        import_data(shop(rows, None, None))
    made = import_data(shop(rows.replace("\n7,", "\n8,"), None, None))
    assert made.interactions["user_id"].to_pylist() == ["8", "7.0"]


def test_an_id_with_a_blank_behind_it_is_named(tmp_path: Path) -> None:
    """In text files blanks are left out; a parquet file means what it says."""
    table = pa.table({"user_id": ["a", "a "], "item_id": ["x", "y"], "event_time": [1, 2]})
    pq.write_table(table, tmp_path / "e.parquet")
    with pytest.raises(BadData, match="row 2, column 'user_id': 'a ' is another id than 'a'"):
        import_data(tmp_path / "e.parquet")
