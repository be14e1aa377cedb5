"""Columns of times: timestamps, dates, unix times, dates written as numbers and ISO 8601 text, as UTC microseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from banquet.training.datasets.converting import converted, is_text, whole, wrong_type
from banquet.training.datasets.dataset import TIME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from banquet.core.errors import BadData
    from banquet.training.datasets.source import Source

    Ints = NDArray[np.int64]
    Numbers = Ints | NDArray[np.float64]

WANT = "a time: unix seconds or ISO 8601 such as 2025-01-31T12:00:00Z"
NUMBER = r"^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$"
WHOLE = r"^-?\d+$"
# The unit of a unix time shows in its size: from each bound on, it would lie past the year 5000 in the unit before.
UNIT_BOUNDS = (1e11, 1e14, 1e17)
UNITS = ("unix seconds", "unix milliseconds", "unix microseconds", "unix nanoseconds", "a date in digits")
DATE = 4
FIRST_DAY, LAST_DAY = 1900_01_01, 2100_12_31
# A clock that began with the data counts up from 0, and passes numbers that look like dates.
OWN_CLOCK_BELOW = 1e9
# Rewrites what is common and not read by Arrow: zone names, blanks before a zone, no separators, more than six digits of a
# second or a comma before them, dates alone, no zone.
REWRITES = (
    (r"(?i)\s*(utc|gmt|z)$", "Z"),
    (r"\s+([+-]\d)", r"\1"),
    (r"^(\d{4})(\d\d)(\d\d)[Tt ](\d\d)(\d\d)(\d\d)", r"\1-\2-\3T\4:\5:\6"),
    (r"^(\d{4}-\d\d-\d\d)t", r"\1T"),
    (r"(:\d\d)[.,](\d{1,6})\d*", r"\1.\2"),
    (r"^(\d{4}-\d\d-\d\d)$", r"\1T00:00:00"),
    (r"(T| )(\d\d:\d\d(:\d\d(\.\d+)?)?)$", r"\1\2Z"),
)


def times(source: Source, name: str) -> pa.ChunkedArray:
    """A column of times; those without a zone are UTC.

    Raises `BadData` at the first value that is no time, or is written in another unit than most.
    """
    column = whole(source, name)
    if pa.types.is_temporal(column.type):
        return converted(source, name, lambda part: part.cast(TIME, safe=False), WANT)
    if not is_text(column.type):
        return _from_numbers(source, name, _numbers(source, name, column))
    if len(column) and not pc.match_substring_regex(column.slice(0, 1), NUMBER)[0].as_py():
        return _from_texts(source, name, column)
    exact = pc.all(pc.match_substring_regex(column, WHOLE)).as_py()
    kind = pa.int64() if exact else pa.float64()
    digits = converted(source, name, lambda part: part.cast(kind), WANT)
    return _from_numbers(source, name, digits.to_numpy())


def _from_texts(source: Source, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    for kind in (TIME, pa.timestamp("us")):  # first as they are: rewriting is slow
        try:
            return column.cast(kind).cast(TIME)
        except pa.ArrowInvalid:
            continue
    return converted(source, name, _rewritten, WANT)


def _rewritten(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    for pattern, replacement in REWRITES:
        texts = pc.replace_substring_regex(texts, pattern, replacement)
    return texts.cast(TIME)


def _numbers(source: Source, name: str, column: pa.ChunkedArray) -> Numbers:
    if pa.types.is_integer(column.type):
        return np.asarray(converted(source, name, lambda part: part.cast(pa.int64()), WANT).to_numpy())
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        return np.asarray(column.cast(pa.float64()).to_numpy())
    raise wrong_type(source, name, f"wanted {WANT}")


def _from_numbers(source: Source, name: str, numbers: Numbers) -> pa.ChunkedArray:
    if not np.isfinite(numbers).all():
        raise _wrong(source, name, int(np.argmin(np.isfinite(numbers))), f"is not {WANT}", "correct it or remove the row")
    unit = np.digitize(np.abs(numbers.astype(np.float64)), UNIT_BOUNDS)
    dates_us, is_date = _dates(numbers)
    nonzero = numbers != 0  # zero is the same moment in every unit
    if is_date[nonzero].all() or np.abs(numbers).max(initial=0) >= OWN_CLOCK_BELOW:
        unit[is_date] = DATE
    counts = np.bincount(unit[nonzero], minlength=len(UNITS))
    usual = int(np.argmax(counts))
    if (odd := (unit != usual) & (nonzero | (usual == DATE))).any():
        row, other = int(np.argmax(odd)), int(np.argmax(nonzero & (unit == usual)))
        what = f"looks like {UNITS[unit[row]]}, while {numbers[other]} in {source.row(other)} looks like {UNITS[usual]}"
        raise _wrong(source, name, row, what, "write all times of the column alike")
    return pa.chunked_array([pa.array(dates_us if usual == DATE else _unix_us(numbers, usual)).cast(TIME)])


def _unix_us(numbers: Numbers, unit: int) -> Ints:
    times_us = numbers // 1_000 if UNITS[unit] == "unix nanoseconds" else numbers * 1_000 ** (2 - unit)
    return np.round(times_us).astype(np.int64)


def _dates(numbers: Numbers) -> tuple[Ints, NDArray[np.bool_]]:
    """Numbers read as YYYYMMDD, YYYYMMDDhhmm or YYYYMMDDhhmmss in microseconds, and which of them are such dates."""
    whole_numbers = np.where(np.abs(numbers) < UNIT_BOUNDS[1], numbers, 0).astype(np.int64)
    below_day = np.where(whole_numbers >= 10**13, 10**6, np.where(whole_numbers >= 10**11, 10**4, 1))
    day, clock = whole_numbers // below_day, whole_numbers % below_day * (10**6 // below_day)
    month = ((day // 10_000 - 1970) * 12 + day // 100 % 100 - 1).astype("datetime64[M]")
    date = month.astype("datetime64[D]") + (day % 100 - 1)
    hours, minutes, seconds = clock // 10_000, clock // 100 % 100, clock % 100
    is_date = (day >= FIRST_DAY) & (day <= LAST_DAY) & (day // 100 % 100 - 1 < 12) & (day // 100 % 100 > 0)  # noqa: PLR2004
    is_date &= (date.astype("datetime64[M]") == month) & (hours < 24) & (minutes < 60) & (seconds < 60)  # noqa: PLR2004
    is_date &= whole_numbers == numbers
    moments = date.astype("datetime64[us]").astype(np.int64) + (hours * 3600 + minutes * 60 + seconds) * 1_000_000
    return moments, is_date


def _wrong(source: Source, name: str, row: int, what: str, remedy: str) -> BadData:
    value = source.table[name][row].as_py()
    return source.wrong(row, name, f"{value!r} {what}", remedy)
