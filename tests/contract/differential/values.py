"""Values of every type that Feast stores: where examples come from, and when two are the same to the bit."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
from feast.protos.feast.types import Value_pb2 as pb
from feast.types import Array, Bool, Bytes, FeastType, Float32, Float64, Int32, Int64, String, UnixTimestamp
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

Plain: TypeAlias = "bool | int | float | str | bytes | list[Any] | None"

BASES: dict[str, FeastType] = {
    "BYTES": Bytes,
    "STRING": String,
    "INT32": Int32,
    "INT64": Int64,
    "DOUBLE": Float64,
    "FLOAT": Float32,
    "BOOL": Bool,
    "UNIX_TIMESTAMP": UnixTimestamp,
}
FEAST_TYPES: dict[str, FeastType] = BASES | {f"{name}_LIST": Array(base) for name, base in BASES.items()}
_MESSAGES = {
    "BYTES": pb.BytesList,
    "STRING": pb.StringList,
    "INT32": pb.Int32List,
    "INT64": pb.Int64List,
    "DOUBLE": pb.DoubleList,
    "FLOAT": pb.FloatList,
    "BOOL": pb.BoolList,
    "UNIX_TIMESTAMP": pb.Int64List,
}
_ARROW = {
    "BYTES": pa.binary(),
    "STRING": pa.string(),
    "INT32": pa.int32(),
    "INT64": pa.int64(),
    "DOUBLE": pa.float64(),
    "FLOAT": pa.float32(),
    "BOOL": pa.bool_(),
    "UNIX_TIMESTAMP": pa.timestamp("us", tz="UTC"),
}

TEXTS = st.sampled_from(["", "a", "Köln", "☃ 'x'", "\x00", "null", "x" * 130, "é" * 9000]) | st.text(max_size=5)
_INT32 = st.sampled_from([0, -1, 2**31 - 1, -(2**31)]) | st.integers(-(2**31), 2**31 - 1)
_INT64 = st.sampled_from([0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 127, 128]) | st.integers(-(2**63), 2**63 - 1)
_ODD = [0.0, -0.0, float("nan"), float("inf"), float("-inf"), 1.5]
# Feast takes times through pandas, which counts nanoseconds in 64 bits.
_MOMENTS = st.sampled_from([0, -1, 1_772_938_800]) | st.integers(-(2**33), 2**33)
_ANY: dict[str, st.SearchStrategy[Any]] = {
    "BYTES": st.binary(max_size=5) | st.just(b"\x0a\x00" * 80),
    "STRING": TEXTS,
    "INT32": _INT32,
    "INT64": _INT64,
    "DOUBLE": st.sampled_from([*_ODD, 5e-324, 1.7976931348623157e308]) | st.floats(),
    "FLOAT": st.sampled_from([*_ODD, 2.0**-149]) | st.floats(width=32),
    "BOOL": st.booleans(),
    "UNIX_TIMESTAMP": _MOMENTS | _INT64,
}
# A frame turns a column of whole numbers with a null into float64, and 2**63 is none of int64.
_FRAMED = {"UNIX_TIMESTAMP": _MOMENTS, "INT64": _INT64.map(lambda number: min(number, 2**63 - 1024))}


def plain_values(kind: str, *, framed: bool) -> st.SearchStrategy[Plain]:
    """Values of a type, nulls among them; `framed` ones also fit a data frame."""
    base = kind.removesuffix("_LIST")
    single = (_FRAMED if framed else _ANY).get(base, _ANY[base])
    whole = st.lists(single, max_size=3) if kind.endswith("_LIST") else single
    return st.none() | whole


def to_proto(kind: str, value: Plain) -> pb.Value:
    """As Feast's own writers put it."""
    if value is None:
        return pb.Value()
    field = f"{kind.lower()}_val"
    if isinstance(value, list):
        return pb.Value(**{field: _MESSAGES[kind.removesuffix("_LIST")](val=value)})
    return pb.Value(**{field: value})


def to_arrow(kind: str, values: Iterable[Plain]) -> pa.Array:
    """As a column of a source has it."""
    base = _ARROW[kind.removesuffix("_LIST")]
    if kind.startswith("UNIX_TIMESTAMP"):
        values = [_microseconds(value) for value in values]
    return pa.array(values, pa.list_(base) if kind.endswith("_LIST") else base)


def _microseconds(value: Any) -> Any:
    if isinstance(value, list):
        return [_microseconds(one) for one in value]
    return None if value is None else value * 1_000_000


def of_proto(value: pb.Value) -> Plain:
    """The value alone, without Feast's later conversions."""
    field = value.WhichOneof("val")
    if field is None:
        return None
    raw = getattr(value, field)
    return list(raw.val) if hasattr(raw, "val") else raw


def bits(value: object) -> Hashable:
    """Equal for the same type and bits alone: -0.0 is not 0.0, True is not 1; every NaN is one."""
    if isinstance(value, float):
        return ("float", "nan" if value != value else struct.pack("<d", value))  # noqa: PLR0124 - NaN is unlike itself
    if isinstance(value, (list, tuple)):
        return ("list", tuple(bits(one) for one in value))
    return (type(value).__name__, value)
