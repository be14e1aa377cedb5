"""Entity keys of several parts, to the byte; another test compares with Feast's own function."""

from datetime import UTC, datetime

import pytest

from banquet.features.stores.encoding import BadValue, KeyFormat
from banquet.features.stores.entity_keys import EntityKeys


def test_parts_are_written_in_the_order_of_their_names() -> None:
    """Whatever order they are given in."""
    key = EntityKeys(("b", "a"), ("STRING", "INT32")).encode(["x", -1])
    number, text = b"\2\0\0\0", b"\1\0\0\0"
    names = number + text + b"a" + number + text + b"b"
    assert key == number + names + b"\3\0\0\0\4\0\0\0\xff\xff\xff\xff" + number + text + b"x"
    assert key == EntityKeys(("a", "b"), ("INT32", "STRING")).encode([-1, "x"])


@pytest.mark.parametrize(("kind", "given"), [("STRING", "Zoë"), ("INT32", "7"), ("INT64", "-7")])
def test_one_part_is_the_key_of_one_join_key(kind: str, given: str) -> None:
    """Both ways of writing agree; numbers may come as texts."""
    assert EntityKeys(("user_id",), (kind,)).encode([given]) == KeyFormat("user_id", kind).encode(given)


def test_times_are_whole_seconds_and_bytes_are_bytes() -> None:
    """The other two types that Feast has keys of."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    keys = EntityKeys(("at", "raw"), ("UNIX_TIMESTAMP", "BYTES"))
    assert keys.encode([moment, b"\xff"]) == keys.encode([int(moment.timestamp()), b"\xff"])


@pytest.mark.parametrize(("kind", "given"), [("INT64", "x"), ("INT32", 2**40), ("INT64", None), ("STRING", 7), ("INT64", 1.5)])
def test_what_a_key_cannot_hold_is_named(kind: str, given: object) -> None:
    """With the join key and the value."""
    with pytest.raises(BadValue, match="user_id"):
        EntityKeys(("user_id",), (kind,)).encode([given])


def test_a_type_that_cannot_be_a_key_is_named() -> None:
    """Feast itself would refuse to write it."""
    with pytest.raises(BadValue, match="FLOAT cannot be a key"):
        EntityKeys(("user_id",), ("FLOAT",))
