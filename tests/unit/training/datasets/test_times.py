"""Times as everybody writes them, and those that cannot be told apart."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from banquet.core.errors import BadData
from banquet.training.datasets.source import Source
from banquet.training.datasets.times import times

MOMENT = datetime(2024, 5, 1, 10, tzinfo=UTC)
SECONDS = 1714557600


def read(*written: object, kind: pa.DataType | None = None) -> list[datetime]:
    column = pa.array(list(written), kind)
    found: list[datetime] = times(
        Source("f.csv", pa.table({"event_time": column}), first_row=2, unit="line"), "event_time"
    ).to_pylist()
    return found


@pytest.mark.parametrize(
    "written",
    [
        *(SECONDS, SECONDS * 10**3, SECONDS * 10**6, SECONDS * 10**9, float(SECONDS), Decimal(SECONDS)),
        *(str(SECONDS), f"{SECONDS}.0", "1.7145576e9", str(SECONDS * 10**9)),
        *("2024-05-01T10:00:00Z", "2024-05-01 10:00:00", "2024-05-01T12:00:00+02:00", "2024-05-01T10:00Z", "2024-05-01 10:00"),
        *(
            "2024-05-01 10:00:00 UTC",
            "2024-05-01 12:00:00 +0200",
            "2024-05-01t10:00:00z",
            "20240501T100000Z",
            "2024-05-01T10:00:00 GMT",
        ),
        *(
            "2024-05-01T10:00:00.0000000Z",
            "2024-05-01T10:00:00,000",
            "2024-05-01 10:00:00.000000000",
            "2024-05-01T10:00:00.000000000+00:00",
        ),
        *("202405011000", "20240501100000", 202405011000, 20240501100000, 20240501100000.0),
    ],
)
def test_times_are_understood_however_they_are_written(written: object) -> None:
    """Unix times of every unit, ISO 8601 in its varieties and dates in digits: the same moment."""
    assert read(written) == [MOMENT]


def test_seven_digits_of_a_second_are_iso_8601() -> None:
    """As .NET writes them, and nine as Java does; what is below a microsecond is cut off."""
    expected = datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)
    assert (
        read("2023-11-14T22:13:20.1234567Z", "2023-11-14T22:13:20.123456789Z", "2023-11-14T23:13:20.1234567+01:00")
        == [expected] * 3
    )


@pytest.mark.parametrize("written", ["2024-05-01", "20240501", 20240501, 20240501.0, date(2024, 5, 1)])
def test_a_date_is_its_midnight(written: object) -> None:
    """20240501 is no second of August 1970."""
    assert read(written) == [datetime(2024, 5, 1, tzinfo=UTC)]


def test_texts_with_and_without_a_zone_may_stand_together() -> None:
    """Without a zone a time is UTC, with or without a time of day."""
    midnight = datetime(2024, 5, 1, tzinfo=UTC)
    assert read("2024-05-01", "2024-05-01T10:00:00Z", "2024-05-01 10:00:00") == [midnight, MOMENT, MOMENT]


def test_a_clock_of_ones_own_counts_from_zero() -> None:
    """Zeros are times, and so are small numbers that look like dates here and there."""
    epoch = datetime.fromtimestamp(0, UTC)
    assert read(0, 0) == [epoch, epoch]
    assert read(0, SECONDS * 1000) == [epoch, MOMENT]
    assert read(5, 20240501, 99) == [datetime.fromtimestamp(second, UTC) for second in (5, 20240501, 99)]
    assert read(-1) == [datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)]


def test_floats_keep_their_fractions() -> None:
    """Half a second, in seconds and in milliseconds."""
    half = MOMENT.replace(microsecond=500_000)
    assert read(SECONDS + 0.5) == [half]
    assert read(SECONDS * 1000 + 500.25) == [half.replace(microsecond=500_250)]


@given(st.integers(-(2**33), 2**33), st.sampled_from([10**3, 10**6, 10**9]))
def test_every_unit_says_the_same(second: int, per_second: int) -> None:
    """From 1973 on, since before that the size does not tell the unit."""
    if abs(second) >= 10**8:
        assert read(second * per_second) == [datetime.fromtimestamp(second, UTC)]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ((SECONDS, SECONDS, SECONDS * 1000), rf"line 4, .* {SECONDS}000 looks like unix milliseconds, while {SECONDS} in line 2"),
        ((str(SECONDS * 1000), str(SECONDS), str(SECONDS * 1000)), r"line 3, .* looks like unix seconds, .* write all times"),
        ((SECONDS * 10**6, SECONDS * 10**9, SECONDS * 10**6), "line 3, .* looks like unix nanoseconds"),
        ((SECONDS, 20240501, SECONDS), r"line 3, .*: 20240501 looks like a date in digits, while"),
        ((20240501, 0, 20240502), "line 3, .*: 0 looks like unix seconds, while 20240501 in line 2 looks like a date"),
        ((float("nan"),), "line 2, .*: nan is not a time"),
        ((SECONDS * 1.0, float("-inf")), "line 3, .*: -inf is not a time"),
        (("2024-05-01", "nan"), "line 3, .*: 'nan' is not a time"),
        (("2024-05-01", "01/05/2024"), "line 3, .*: '01/05/2024' is not a time"),
        (("2024-05-01", "2024-02-30"), "line 3, .*: '2024-02-30' is not a time"),
        ((str(SECONDS), "2024-05-01"), "line 3, .*: '2024-05-01' is not a time"),
        ((SECONDS, None), "line 3, .*: the value is missing"),
        ((True,), "has type bool; wanted a time"),
    ],
)
def test_a_value_that_is_no_time_like_the_others_is_named(written: tuple[object, ...], message: str) -> None:
    """Rather than to be read as January 1970."""
    with pytest.raises(BadData, match=message):
        read(*written)
