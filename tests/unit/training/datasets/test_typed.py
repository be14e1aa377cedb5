"""What a column of a text file is taken for."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from banquet.core.errors import BadData
from banquet.training.datasets.importing import Reading, import_data
from banquet.training.datasets.source import Source, TextFormat
from banquet.training.datasets.tabular import Naming
from banquet.training.datasets.typed import typed


def guess(*texts: str | None, decimal: str = ".") -> tuple[list[object], list[str]]:
    table = pa.table({"price": pa.array(texts, pa.string())})
    source = typed(Source("f.csv", table, first_row=2, unit="line", written=TextFormat(decimal=decimal)), "price")
    return source.table["price"].to_pylist(), list(source.notes)


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (("1", "-2", None, "+3"), [1, -2, None, 3]),
        (("1", "2.5", ".5", "1e3"), [1.0, 2.5, 0.5, 1000.0]),
        (("true", "FALSE", None), [True, False, None]),
        (("EU", "NA", "None", "-"), ["EU", "NA", "None", "-"]),
        (("0", "0.5", "0.25"), [0.0, 0.5, 0.25]),
        (("2024-13-01",), ["2024-13-01"]),
        ((None, None), [None, None]),
    ],
)
def test_a_column_is_what_all_its_values_are(texts: tuple[str | None, ...], values: list[object]) -> None:
    """Whole numbers, decimals, flags or text, without a word where nothing is in doubt."""
    assert guess(*texts) == (values, [])


def test_one_dash_among_prices_is_missing_and_said() -> None:
    """The numbers stay numbers; a person learns where it was."""
    values, notes = guess("0.5", "—", "2", "n/a")
    assert values == [0.5, None, 2.0, None]
    assert notes == ["column 'price' is taken as numbers: '—' in line 3 is taken as missing (2 in all)"]


def test_one_word_among_prices_makes_them_texts_and_is_said() -> None:
    """Nothing vanishes; a person learns which word it was, and the remedy."""
    values, notes = guess("0.5", "free", "2")
    assert values == ["0.5", "free", "2"]
    (note,) = notes
    assert note.startswith("column 'price' is taken as text: 'free' in line 3 is no number (2 of the 3 values are numbers);")
    assert guess("red", "blue", "2")[1] == []


@pytest.mark.parametrize("texts", [("007", "12"), ("00", "1"), ("-01", "2"), ("1", "99999999999999999999")])
def test_codes_stay_texts(texts: tuple[str, ...]) -> None:
    """A number would lose the zero in front, or the last digits."""
    values, notes = guess(*texts)
    assert values == list(texts)
    assert len(notes) == 1
    assert "is a code, which a number would change" in notes[0]


def test_decimal_commas_are_read_where_they_are_said() -> None:
    """With points between thousands; where nothing is said, the option is named."""
    assert guess("2,5", "-1.234,75", "3", decimal=",") == ([2.5, -1234.75, 3.0], [])
    assert guess("1.234", "12", decimal=",") == ([1234, 12], [])
    values, notes = guess("2,5", "3")
    assert values == ["2,5", "3"]
    assert "'2,5' in line 2 has a comma; where that is the decimal point, use --decimal ," in notes[0]


@given(st.lists(st.one_of(st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=False)), min_size=1))
def test_numbers_come_back_as_they_were(numbers: list[float]) -> None:
    """Whole ones exactly, others as the nearest float64."""
    whole = all(isinstance(number, int) and len(str(abs(number))) < 19 for number in numbers)
    if whole or not any(isinstance(number, int) and len(str(abs(number))) >= 19 for number in numbers):
        assert guess(*map(repr, numbers))[0] == (numbers if whole else [float(number) for number in numbers])


@pytest.mark.parametrize("word", ["inf", "-inf", "Infinity", "1e400"])
def test_infinity_in_a_feature_is_named(shop, word: str) -> None:
    """File, line and column, as for any other number that cannot be."""
    with pytest.raises(
        BadData, match=r"users\.csv, line 3, column 'ratio': the number is infinite; correct it or leave it empty"
    ):
        import_data(shop(users=f"user_id,ratio\na,0.5\nb,{word}\n"))


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_infinity_in_parquet_is_named_and_nan_is_missing(tmp_path, kind: pa.DataType) -> None:
    """Whatever the width."""
    pq.write_table(pa.table({"user_id": ["a"], "item_id": ["x"], "event_time": [1]}), tmp_path / "interactions.parquet")
    ratios = pa.array([1.0, float("nan"), float("-inf")]).cast(kind)
    pq.write_table(pa.table({"user_id": ["a", "b", "c"], "ratio": ratios}), tmp_path / "users.parquet")
    with pytest.raises(BadData, match=r"users\.parquet, row 3, column 'ratio': the number is infinite"):
        import_data(tmp_path)


def test_codes_and_null_words_through_an_import(shop) -> None:
    """ "007" stays "007", NA of a region stays NA, words that are named are missing, and the notes name their files."""
    items = "item_id,brand,region,price\nx,007,NA,2.5\ny,001,EU,free\n"
    said: list[str] = []
    made = import_data(shop(items=items), reading=Reading(written=TextFormat(missing=("free",))), say=said.append)
    rows = made.items.to_pylist()
    assert [(row["brand"], row["region"], row["price"]) for row in rows] == [("007", "NA", 2.5), ("001", "EU", None)]
    assert len(said) == 1
    assert "items.csv: column 'brand' is taken as text: '007' in line 2 is a code" in said[0]


def test_values_of_events_may_have_decimal_commas(shop) -> None:
    """Ratings and amounts are numbers, too."""
    shop(interactions="user_id;item_id;event_time;value\na;x;2024-05-01;4,5\nb;x;2024-05-02;1.000,5\n")
    made = import_data(shop(None, None, None), reading=Reading(written=TextFormat(decimal=",")))
    assert made.interactions["value"].to_pylist() == [4.5, 1000.5]


def test_dates_are_no_features(shop) -> None:
    """As nothing could be learned from a day as a category."""
    with pytest.raises(BadData, match=r"column 'born' has type timestamp.*; a feature is text, a list of text, a number"):
        import_data(shop(users="user_id,born\na,1990-01-01\nb,1991-02-03\n"))
    made = import_data(shop(users="user_id,born\na,1990-01-01\nb,1991-02-03\n"), reading=Reading(Naming(left_out=("born",))))
    assert made.user_features == ()
