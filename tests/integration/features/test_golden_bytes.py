"""Entity keys of every shape, columns of numbers and rarer values, against Feast's own functions and against fixed bytes."""

import struct
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from feast.infra.key_encoding_utils import deserialize_entity_key, serialize_entity_key
from feast.infra.online_stores.helpers import _mmh3, _redis_key
from feast.protos.feast.types import Value_pb2 as pb
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.type_map import feast_value_type_to_python_type
from hypothesis import given, settings
from hypothesis import strategies as st

from banquet.features.catalogue.number_blobs import numbers_of
from banquet.features.stores.encoding import KeyFormat, decode, redis_field
from banquet.features.stores.entity_keys import EntityKeys
from banquet.wire.columns import NOT_STORED, STORED_NULL

INT32, INT64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
KEYS = {"BYTES": st.binary(), "STRING": st.text(), "INT32": INT32, "INT64": INT64, "UNIX_TIMESTAMP": INT64}
NAMES = st.characters(codec="utf-8", exclude_characters="\0")  # Feast takes zeros out of the names that it reads back.
NUMBERS: dict[str, tuple[st.SearchStrategy[Any], Any, float]] = {
    "INT32": (INT32, np.int64, 0),
    "INT64": (INT64, np.int64, 0),
    "UNIX_TIMESTAMP": (INT64, np.int64, 0),
    "FLOAT": (st.floats(width=32), np.float32, np.nan),
    "DOUBLE": (st.floats(), np.float64, np.nan),
    "BOOL": (st.booleans(), np.bool_, 0),
}
ONE = "9f3c1e52-6b1f-4f0a-9d57-0d9c4a7f0001"


@st.composite
def entities(draw: st.DrawFn) -> tuple[list[str], list[str], list[Any]]:
    """Join keys in any order, their types, and an entity."""
    names = draw(st.lists(st.text(NAMES), min_size=1, max_size=4, unique=True))
    types = [draw(st.sampled_from(sorted(KEYS))) for _ in names]
    return names, types, [draw(KEYS[kind]) for kind in types]


@given(entities(), st.text())
def test_composite_keys_are_feasts(entity: tuple[list[str], list[str], list[Any]], project: str) -> None:
    """Any number of join keys of any type, in whatever order they are declared; the Redis key, too."""
    names, types, parts = entity
    values = [pb.Value(**{f"{kind.lower()}_val": part}) for kind, part in zip(types, parts, strict=True)]
    proto = EntityKey(join_keys=names, entity_values=values)
    found = EntityKeys(names, types).encode(parts)
    assert found == serialize_entity_key(proto, 3)
    assert found + project.encode() == _redis_key(project, proto, 3)
    assert sorted(deserialize_entity_key(found, 3).join_keys) == sorted(names)


@given(st.text(min_size=1), st.sampled_from(["STRING", "INT32", "INT64"]), st.data(), st.binary(max_size=4))
def test_single_keys_are_read_back(name: str, kind: str, data: st.DataObject, suffix: bytes) -> None:
    """As the scan of items does, with the project's name behind it."""
    entity = data.draw(KEYS[kind])
    keys = KeyFormat(name, kind)
    key = keys.encode(str(entity))
    assert key == EntityKeys([name], [kind]).encode([entity])
    assert keys.parse(key + suffix, suffix) == str(entity)
    assert keys.parse(key + suffix + b"x", suffix) is None


@pytest.mark.parametrize("kind", NUMBERS)
@settings(max_examples=30)
@given(data=st.data())
def test_columns_of_numbers_are_what_protobuf_reads(kind: str, data: st.DataObject) -> None:
    """Many at once, of all widths, with nulls and gaps between them; to the bit, NaN aside."""
    values, dtype, missing = NUMBERS[kind]
    drawn = data.draw(st.lists(st.one_of(values, st.just("null"), st.none()), max_size=12))
    protos = [None if one is None else pb.Value() if one == "null" else pb.Value(**{f"{kind.lower()}_val": one}) for one in drawn]
    blobs = [None if proto is None else proto.SerializeToString() for proto in protos]
    numbers, absent = numbers_of(blobs, kind, np.dtype(dtype), missing)
    for at, proto in enumerate(protos):
        if proto is None or proto.WhichOneof("val") is None:
            assert absent[at] == (NOT_STORED if proto is None else STORED_NULL)
            continue
        expected = np.array(getattr(proto, f"{kind.lower()}_val")).astype(dtype)
        same = numbers[at].tobytes() == expected.tobytes() or (numbers[at] != numbers[at] and expected != expected)  # noqa: PLR0124
        assert absent[at] == 0
        assert same, f"{numbers[at]!r} is not {expected!r}"


@pytest.mark.parametrize(
    "value",
    [
        pb.Value(uuid_val=ONE),
        pb.Value(time_uuid_val=ONE),
        pb.Value(uuid_list_val=pb.StringList(val=[ONE])),
        pb.Value(uuid_set_val=pb.StringSet(val=[ONE])),
        pb.Value(decimal_val="-0.10"),
        pb.Value(decimal_list_val=pb.StringList(val=["1E+3", "0"])),
        pb.Value(json_val='{"a": [1, null]}'),
        pb.Value(json_list_val=pb.StringList(val=["1", '"x"'])),
        pb.Value(string_set_val=pb.StringSet(val=["a", "ä"])),
        pb.Value(int64_set_val=pb.Int64Set(val=[2**63 - 1, -1])),
        pb.Value(double_set_val=pb.DoubleSet(val=[-0.0])),
        pb.Value(bytes_set_val=pb.BytesSet(val=[b"\x00"])),
        pb.Value(bool_set_val=pb.BoolSet(val=[True])),
        pb.Value(map_val=pb.Map(val={"a": pb.Value(string_val="x")})),
        pb.Value(struct_val=pb.Map(val={"a": pb.Value(double_val=0.5)})),
    ],
    ids=lambda value: value.WhichOneof("val"),
)
def test_rarer_values_are_what_feast_makes_of_them(value: pb.Value) -> None:
    """UUIDs, decimals, JSON, sets, maps and structs: same value, same type."""
    found, expected = decode(value.SerializeToString()), feast_value_type_to_python_type(value)
    assert found == expected
    assert type(found) is type(expected)


def test_these_bytes_never_change() -> None:
    """What lies in online stores was written so, whatever later versions of Feast and of Banquet do."""
    assert KeyFormat("user_id", "STRING").encode("zoë").hex() == "010000000200000007000000757365725f696402000000040000007a6fc3ab"
    assert EntityKeys(["b", "a"], ["INT64", "INT32"]).encode([-2, 1]).hex() == (
        "020000000200000001000000610200000001000000620300000004000000010000000400000008000000feffffffffffffff"
    )
    assert redis_field("user_profile", "age") == _mmh3("user_profile:age") == bytes.fromhex("7337e8a7")
    written = {
        b"": None,
        b"\x20" + b"\xff" * 9 + b"\x01": -1,
        b"\x35" + struct.pack("<f", -0.0): -0.0,
        b"\x12\x04zo\xc3\xab": "zoë",
        b"\x62\x00": [],
        b"\x82\x01\x06\x0a\x04" + struct.pack("<f", 0.5): [0.5],
        pb.Value(uuid_val=ONE).SerializeToString(): uuid.UUID(ONE),
        pb.Value(decimal_val="0.10").SerializeToString(): Decimal("0.10"),
    }
    assert {blob: decode(blob) for blob in written} == written
