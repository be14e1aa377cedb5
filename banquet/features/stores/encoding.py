"""Feast's own encodings, by hand: entity keys (version 3) and values as they lie in an online store.

Source: feast/infra/key_encoding_utils.py and the protobuf wire format of feast/types/Value.proto. Golden tests compare with both.
"""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import mmh3

from banquet.core.ids import id_problem

if TYPE_CHECKING:
    from collections.abc import Callable

_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")
_I64 = struct.Struct("<q")
_F32 = struct.Struct("<f")
_F64 = struct.Struct("<d")
_STRING = 2
_KEY_CODES = {"STRING": _STRING, "INT32": 3, "INT64": 4}
_NUMBERS = {"INT32": _I32, "INT64": _I64}
_ONE_BYTE = 0x80
_SIGN = 1 << 63
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Up to here a float of seconds tells microseconds apart.
_EXACT_S = 1 << 32

# Value types decoded here; the others (maps, structs, nested lists) go through Feast.
_SCALARS = ("BYTES", "STRING", "INT32", "INT64", "DOUBLE", "FLOAT", "BOOL", "UNIX_TIMESTAMP", "UUID", "TIME_UUID", "DECIMAL")
BY_HAND = {*_SCALARS, *(f"{kind}_LIST" for kind in _SCALARS), *(f"{kind}_SET" for kind in _SCALARS), "JSON", "JSON_LIST"}


class BadValue(ValueError):
    """Bytes of the online store that are not what Feast writes."""


class KeyFormat:
    """Entity keys of one join key: `encode` an id, `parse` an id back out of a key. Ids are text, whatever Feast's type."""

    def __init__(self, join_key: str, key_type: str) -> None:
        if key_type not in _KEY_CODES:
            raise BadValue(f"join key {join_key!r} is a {key_type}; these can be read: {', '.join(_KEY_CODES)}")
        name = join_key.encode()
        self.prefix = _U32.pack(1) + _U32.pack(_STRING) + _U32.pack(len(name)) + name
        self._type = key_type
        self._start = self.prefix + _U32.pack(_KEY_CODES[key_type])
        self._number = _NUMBERS.get(key_type)

    def encode(self, entity_id: str) -> bytes:
        """The key of an id. Raises `BadValue` for an id that the key's type cannot hold."""
        if problem := id_problem(self._type, entity_id):
            raise BadValue(f"an id does not fit the key: {problem}")
        body = entity_id.encode() if self._number is None else self._number.pack(int(entity_id))
        return self._start + _U32.pack(len(body)) + body

    def parse(self, key: bytes, suffix: bytes = b"") -> str | None:
        """The id of a key that ends with exactly `suffix`, or None when the key is of another shape."""
        at = len(self._start)
        if not key.startswith(self._start) or len(key) < at + 4:
            return None
        end = at + 4 + _U32.unpack_from(key, at)[0]
        if len(key) < end or key[end:] != suffix:
            return None
        body = key[at + 4 : end]
        return body.decode() if self._number is None else str(self._number.unpack(body)[0])


def redis_field(view: str, feature: str) -> bytes:
    """The hash field of a feature: murmur3_32 of `view:feature`, little-endian."""
    return _U32.pack(mmh3.hash(f"{view}:{feature}", signed=False))


def decode(blob: bytes) -> object:
    """A stored value as plain Python; None for a stored null. Timestamps are seconds since 1970. Raises `BadValue`."""
    if not blob:
        return None
    try:
        read = _READERS.get(blob[0])
        if read is not None:
            return read(blob)
        read_long = _LONG_READERS.get((blob[0], blob[1]))
        if read_long is not None:
            return read_long(blob)
        return _by_feast(blob)
    except (ArithmeticError, IndexError, struct.error, ValueError) as error:
        raise BadValue(f"not a Feast value: {blob[:24]!r}: {error}") from error


def decode_timestamp_us(blob: bytes) -> int:
    """A serialized protobuf Timestamp as microseconds since 1970, rounded as Feast rounds it on the way through a float."""
    at, seconds, nanos = 0, 0, 0
    while at < len(blob):
        tag = blob[at]
        number, at = _varint(blob, at + 1)
        if tag == 0x08:  # noqa: PLR2004 - field 1, varint
            seconds = _signed(number)
        else:
            nanos = number
    if nanos % 1_000 == 0 and abs(seconds) < _EXACT_S:
        return seconds * 1_000_000 + nanos // 1_000
    try:
        moment = datetime.fromtimestamp(seconds + nanos / 1_000_000_000.0, UTC)
    except (OverflowError, ValueError):
        # Beyond the years that Python knows: Feast fails.
        return seconds * 1_000_000 + nanos // 1_000
    return (moment - _EPOCH) // _MICROSECOND


def _varint(blob: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends."""
    value, shift = 0, 0
    while True:
        byte = blob[at]
        at += 1
        if byte < _ONE_BYTE:
            return value | byte << shift, at
        value |= (byte & 0x7F) << shift
        shift += 7


def _signed(number: int) -> int:
    return number - (1 << 64) if number & _SIGN else number


def _text(blob: bytes) -> str:
    if blob[1] == len(blob) - 2 and blob[1] < _ONE_BYTE:
        return blob[2:].decode()
    return _bytes(blob).decode()


def _bytes(blob: bytes) -> bytes:
    length, at = _varint(blob, 1)
    if at + length != len(blob):
        raise IndexError("its length is wrong")
    return blob[at:]


def _integer(blob: bytes) -> int:
    value = blob[1]
    if value < _ONE_BYTE:
        return value
    value &= 0x7F
    shift, at = 7, 2
    while (byte := blob[at]) >= _ONE_BYTE:
        value |= (byte & 0x7F) << shift
        shift += 7
        at += 1
    value |= byte << shift
    return value - (1 << 64) if value & _SIGN else value


def _pieces(blob: bytes, at: int) -> list[bytes]:
    """The repeated field 1 of the message whose length stands at `at`."""
    length, at = _varint(blob, at)
    end = at + length
    if end != len(blob):
        raise IndexError("its length is wrong")
    pieces = []
    while at < end:
        if blob[at] != 0x0A:  # noqa: PLR2004 - field 1, bytes
            raise IndexError("a list holds an unknown field")
        size = blob[at + 1]
        at += 2
        if size >= _ONE_BYTE:
            size, at = _varint(blob, at - 1)
        pieces.append(blob[at : at + size])
        at += size
    if at != end:
        raise IndexError("a list is cut short")
    return pieces


def _texts(blob: bytes) -> list[str]:
    length, start = _varint(blob, 1)
    body = blob[start:]
    if length != len(body) or not body.isascii():
        return [piece.decode() for piece in _pieces(blob, 1)]
    # The usual history: short plain ids. Every length takes one byte, so that one decoding serves all.
    text = body.decode("ascii")
    at, end = 0, length
    texts: list[str] = []
    while at < end:
        if body[at] != 0x0A:  # noqa: PLR2004 - field 1, bytes
            raise IndexError("a list holds an unknown field")
        begin = at + 2
        at = begin + body[at + 1]
        texts.append(text[begin:at])
    if at != end:
        raise IndexError("a list is cut short")
    return texts


def _integers(blob: bytes, at: int) -> list[int]:
    numbers = []
    for piece in _pieces(blob, at):
        place = 0
        while place < len(piece):
            number, place = _varint(piece, place)
            numbers.append(_signed(number))
    return numbers


def _floats(blob: bytes, at: int, code: str, size: int) -> list[float]:
    return [number for piece in _pieces(blob, at) for number in struct.unpack(f"<{len(piece) // size}{code}", piece)]


def _by_feast(blob: bytes) -> object:
    # Rare types only: importing Feast takes seconds.
    from feast.protos.feast.types.Value_pb2 import Value  # noqa: PLC0415
    from feast.type_map import feast_value_type_to_python_type  # noqa: PLC0415
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    try:
        value: object = feast_value_type_to_python_type(Value.FromString(blob))
    except DecodeError as error:
        raise BadValue(f"not a Feast value: {blob[:24]!r}: {error}") from error
    return value


# By the first byte: field number << 3 | wire type.
_READERS: dict[int, Callable[[bytes], object]] = {
    0x0A: _bytes,
    0x12: _text,
    0x18: _integer,
    0x20: _integer,
    0x29: lambda blob: _F64.unpack_from(blob, 1)[0],
    0x35: lambda blob: _F32.unpack_from(blob, 1)[0],
    0x38: lambda blob: blob[1] != 0,
    0x40: _integer,
    0x5A: lambda blob: _pieces(blob, 1),
    0x62: _texts,
    0x6A: lambda blob: _integers(blob, 1),
    0x72: lambda blob: _integers(blob, 1),
    0x7A: lambda blob: _floats(blob, 1, "d", 8),
}


def _json(blob: bytes) -> object:
    return _parsed(_long_bytes(blob).decode())


def _parsed(text: str) -> object:
    try:
        parsed: object = json.loads(text)
    except json.JSONDecodeError:
        # As Feast does.
        return text
    return parsed


def _long_bytes(blob: bytes) -> bytes:
    """The body of a field whose number takes two bytes."""
    length, at = _varint(blob, 2)
    if at + length != len(blob):
        raise IndexError("its length is wrong")
    return blob[at:]


def _long_texts(blob: bytes) -> list[str]:
    return [piece.decode() for piece in _pieces(blob, 2)]


def _tag(number: int) -> tuple[int, int]:
    """The first two bytes of a field with a number from 16 on that has a length."""
    tag = number << 3 | 2
    return tag & 0x7F | _ONE_BYTE, tag >> 7


# By the numbers of Value.proto.
_LONG_READERS: dict[tuple[int, int], Callable[[bytes], object]] = {
    _tag(16): lambda blob: _floats(blob, 2, "f", 4),
    _tag(17): lambda blob: [flag != 0 for flag in _integers(blob, 2)],
    _tag(18): lambda blob: _integers(blob, 2),
    _tag(22): lambda blob: set(_pieces(blob, 2)),
    _tag(23): lambda blob: set(_long_texts(blob)),
    _tag(24): lambda blob: set(_integers(blob, 2)),
    _tag(25): lambda blob: set(_integers(blob, 2)),
    _tag(26): lambda blob: set(_floats(blob, 2, "d", 8)),
    _tag(27): lambda blob: set(_floats(blob, 2, "f", 4)),
    _tag(28): lambda blob: {flag != 0 for flag in _integers(blob, 2)},
    _tag(29): lambda blob: set(_integers(blob, 2)),
    _tag(32): _json,
    _tag(33): lambda blob: [_parsed(text) for text in _long_texts(blob)],
    _tag(36): lambda blob: UUID(_long_bytes(blob).decode()),
    _tag(37): lambda blob: UUID(_long_bytes(blob).decode()),
    _tag(38): lambda blob: [UUID(text) for text in _long_texts(blob)],
    _tag(39): lambda blob: [UUID(text) for text in _long_texts(blob)],
    _tag(40): lambda blob: {UUID(text) for text in _long_texts(blob)},
    _tag(41): lambda blob: {UUID(text) for text in _long_texts(blob)},
    _tag(44): lambda blob: Decimal(_long_bytes(blob).decode()),
    _tag(45): lambda blob: [Decimal(text) for text in _long_texts(blob)],
    _tag(46): lambda blob: {Decimal(text) for text in _long_texts(blob)},
}
