"""Our encodings against Feast's own functions."""

import contextlib
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from feast.infra.key_encoding_utils import serialize_entity_key, serialize_entity_key_prefix
from feast.infra.online_stores.helpers import _mmh3, _redis_key
from feast.protos.feast.types import Value_pb2 as pb
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from banquet.features.stores.encoding import KeyFormat, decode, decode_timestamp_us, redis_field

INT32, INT64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
FLOAT32 = st.floats(width=32, allow_nan=False)
SCALARS = {
    "bytes_val": st.binary(),
    "string_val": st.text(),
    "int32_val": INT32,
    "int64_val": INT64,
    "double_val": st.floats(allow_nan=False),
    "float_val": FLOAT32,
    "bool_val": st.booleans(),
    "unix_timestamp_val": INT64,
}
LISTS = {
    "bytes_list_val": (pb.BytesList, st.binary()),
    "string_list_val": (pb.StringList, st.text()),
    "int32_list_val": (pb.Int32List, INT32),
    "int64_list_val": (pb.Int64List, INT64),
    "double_list_val": (pb.DoubleList, st.floats(allow_nan=False)),
    "float_list_val": (pb.FloatList, FLOAT32),
    "bool_list_val": (pb.BoolList, st.booleans()),
    "unix_timestamp_list_val": (pb.Int64List, INT64),
}


@given(st.text(min_size=1), st.text(), st.text())
def test_text_keys_are_feasts(join_key: str, entity_id: str, project: str) -> None:
    """The key, its prefix for scans, and the Redis key."""
    proto = EntityKey(join_keys=[join_key], entity_values=[pb.Value(string_val=entity_id)])
    keys = KeyFormat(join_key, "STRING")
    assert keys.encode(entity_id) == serialize_entity_key(proto)
    assert keys.prefix == serialize_entity_key_prefix([join_key])
    assert keys.encode(entity_id) + project.encode() == _redis_key(project, proto)


@given(INT64, INT32)
def test_number_keys_are_feasts(long: int, short: int) -> None:
    """For repos whose ids are numbers."""
    for kind, field, number in (("INT64", "int64_val", long), ("INT32", "int32_val", short)):
        proto = EntityKey(join_keys=["user_id"], entity_values=[pb.Value(**{field: number})])
        assert KeyFormat("user_id", kind).encode(str(number)) == serialize_entity_key(proto)


@given(st.text(), st.text())
def test_redis_fields_are_feasts(view: str, feature: str) -> None:
    """The hash of view and feature."""
    assert redis_field(view, feature) == _mmh3(f"{view}:{feature}")


@given(st.one_of([st.tuples(st.just(field), values) for field, values in SCALARS.items()]))
def test_scalars_are_read_as_protobuf_reads_them(case: tuple[str, Any]) -> None:
    """Every scalar type, signed zeros and extremes too."""
    field, raw = case
    value = pb.Value(**{field: raw})
    found = decode(value.SerializeToString())
    expected = getattr(value, field)
    assert found == expected
    assert type(found) is type(expected)
    if isinstance(expected, float):
        assert struct.pack("<d", found) == struct.pack("<d", expected)


@given(st.one_of([st.tuples(st.just(field), st.lists(values)) for field, (_, values) in LISTS.items()]))
def test_lists_are_read_as_protobuf_reads_them(case: tuple[str, list[Any]]) -> None:
    """Every list type, empty ones too."""
    field, raw = case
    value = pb.Value(**{field: LISTS[field][0](val=raw)})
    assert decode(value.SerializeToString()) == list(getattr(value, field).val)


def test_nan_stays_nan() -> None:
    """It equals nothing, so it is asked for itself."""
    for field in ("float_val", "double_val"):
        assert decode(pb.Value(**{field: float("nan")}).SerializeToString()) != 0
        assert str(decode(pb.Value(**{field: float("nan")}).SerializeToString())) == "nan"


def test_a_null_is_none() -> None:
    """Feast stores it as no bytes at all."""
    assert decode(pb.Value().SerializeToString()) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pb.Value(string_set_val=pb.StringSet(val=["a"])), {"a"}),
        (pb.Value(json_val='{"a": 1}'), {"a": 1}),
        (pb.Value(map_val=pb.Map(val={"a": pb.Value(int64_val=1)})), {"a": 1}),
        (pb.Value(null_val=pb.NULL), None),
    ],
)
def test_rare_types_go_through_feast(value: pb.Value, expected: object) -> None:
    """Sets, maps and JSON, as the SDK gives them."""
    found = decode(value.SerializeToString())
    assert (set(found) if isinstance(expected, set) else found or None) == expected  # type: ignore[call-overload]


@given(st.integers(-62_135_596_800, 253_402_300_799), st.integers(0, 999_999))
def test_timestamps_are_what_feasts_redis_reader_makes_of_them(seconds: int, micros: int) -> None:
    """Of the whole range that protobuf allows; Feast goes through a float, which is exact for some two hundred years."""
    stamp = Timestamp(seconds=seconds, nanos=micros * 1000)
    expected = stamp.ToMicroseconds()
    with contextlib.suppress(OverflowError, ValueError):
        moment = datetime.fromtimestamp(seconds + stamp.nanos / 1_000_000_000.0, UTC)
        expected = (moment - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
    assert decode_timestamp_us(stamp.SerializeToString()) == expected
    if abs(seconds) < 2**32:
        assert expected == stamp.ToMicroseconds()
