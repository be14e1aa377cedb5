"""Feast's encodings by hand; tests/integration/features compares them with Feast's own functions."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banquet.features.stores.encoding import BadValue, KeyFormat, decode, decode_timestamp_us, redis_field


def test_a_text_key_has_the_bytes_that_feast_writes() -> None:
    """Count of keys, then type, length and bytes of the join key's name and of the id."""
    key = KeyFormat("user_id", "STRING").encode("u7")
    assert key == b"\1\0\0\0\2\0\0\0\7\0\0\0user_id\2\0\0\0\2\0\0\0u7"


@given(st.text(), st.binary(max_size=5))
def test_an_id_comes_back_out_of_its_key(entity_id: str, suffix: bytes) -> None:
    """Parsing is the reverse of encoding, with a project's name behind it or not."""
    keys = KeyFormat("item_id", "STRING")
    assert keys.parse(keys.encode(entity_id) + suffix, suffix) == entity_id


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_number_as_id_is_text_outside_and_eight_bytes_inside(number: int) -> None:
    """Ids are strings everywhere but in the key."""
    keys = KeyFormat("item_id", "INT64")
    assert keys.parse(keys.encode(str(number))) == str(number)


@pytest.mark.parametrize(
    "key", [b"", b"\1\0\0\0", KeyFormat("user_id", "STRING").encode("1"), KeyFormat("item_id", "STRING").encode("1x")[:-1]]
)
def test_foreign_and_broken_keys_are_nobodys(key: bytes) -> None:
    """A key of another entity, or cut short, has no id."""
    assert KeyFormat("item_id", "STRING").parse(key) is None


def test_a_key_of_a_project_with_the_same_ending_is_nobodys() -> None:
    """Redis's pattern matches `my_banquet` too; the exact suffix decides."""
    keys = KeyFormat("item_id", "STRING")
    assert keys.parse(keys.encode("1") + b"my_banquet", b"banquet") is None


@pytest.mark.parametrize("entity_id", ["abc", "1.5", str(2**63), "", "007", "1_0", " 7", "+7"])
def test_an_id_that_its_key_cannot_hold_is_named(entity_id: str) -> None:
    """A text asked of numeric keys, a number too great, or one spelled in another way than the store's."""
    with pytest.raises(BadValue, match="does not fit"):
        KeyFormat("user_id", "INT64").encode(entity_id)


def test_a_key_type_that_cannot_be_read_is_named() -> None:
    """The error lists the types that can."""
    with pytest.raises(BadValue, match=r"'when' is a UNIX_TIMESTAMP.*STRING, INT32, INT64"):
        KeyFormat("when", "UNIX_TIMESTAMP")


def test_redis_fields_are_little_endian_murmur3() -> None:
    """The bytes that Feast's `_mmh3` gives for this view and feature."""
    assert redis_field("user_activity", "history").hex() == "5a1636ee"


@pytest.mark.parametrize(
    ("blob", "value"),
    [
        (b"", None),
        (b"\x12\x03abc", "abc"),
        (b"\x12\x00", ""),
        (b"\x20\x00", 0),
        (b"\x20" + b"\xff" * 9 + b"\x01", -1),
        (b"\x38\x01", True),
        (b"\x35\x00\x00\x80\x3f", 1.0),
        (b"\x62\x00", []),
        (b"\x62\x07\x0a\x01a\x0a\x02\xc3\xa9", ["a", "é"]),
        (b"\x82\x01\x06\x0a\x04\x00\x00\x80\x3f", [1.0]),
    ],
)
def test_values_are_read_as_plain_python(blob: bytes, value: object) -> None:
    """Nulls, empty values, negative numbers and lists."""
    assert decode(blob) == value


@given(st.sampled_from([0x0A, 0x12, 0x18, 0x20, 0x29, 0x35, 0x38, 0x40, 0x5A, 0x62, 0x6A, 0x72, 0x7A]), st.binary(max_size=30))
def test_garbage_is_refused_and_never_crashes(tag: int, body: bytes) -> None:
    """Whatever the bytes, the outcome is a value or `BadValue`."""
    with contextlib.suppress(BadValue):
        decode(bytes([tag]) + body)


def test_timestamps_keep_their_microseconds() -> None:
    """Seconds and nanoseconds of a protobuf Timestamp, before 1970 too."""
    assert decode_timestamp_us(b"\x08\x80\xe2\xcf\xaa\x06\x10\xb4\x88\x3d") == 1_700_000_000_001_000
    assert decode_timestamp_us(b"\x08" + b"\xff" * 9 + b"\x01\x10\xd8\xfc\x3c") == -1_000_000 + 999
    assert decode_timestamp_us(b"") == 0
