"""Feast's entity keys (version 3) of any number of join keys and of every type that Feast has keys of."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from banquet.features.stores.encoding import BadValue

if TYPE_CHECKING:
    from collections.abc import Sequence

_U32 = struct.Struct("<I")
_STRING = 2
_CODES = {"BYTES": 1, "STRING": _STRING, "INT32": 3, "INT64": 4, "UNIX_TIMESTAMP": 8}
_NUMBERS = {"INT32": struct.Struct("<i"), "INT64": struct.Struct("<q"), "UNIX_TIMESTAMP": struct.Struct("<q")}


class EntityKeys:
    """How the entity keys of some join keys are written. Raises `BadValue` for types that cannot be keys."""

    def __init__(self, join_keys: Sequence[str], key_types: Sequence[str]) -> None:
        if bad := [kind for kind in key_types if kind not in _CODES]:
            raise BadValue(f"join keys {', '.join(join_keys)}: a {bad[0]} cannot be a key; {', '.join(_CODES)} can")
        self.join_keys = tuple(join_keys)
        self._types = tuple(key_types)
        self._order = sorted(range(len(join_keys)), key=lambda at: join_keys[at])
        names = b"".join(_U32.pack(_STRING) + _sized(join_keys[at].encode()) for at in self._order)
        self._prefix = _U32.pack(len(join_keys)) + names
        self._text = self._prefix + _U32.pack(_STRING) if self._types == ("STRING",) else b""

    def encode(self, parts: Sequence[object]) -> bytes:
        """The key of an entity from its parts, in step with `join_keys`. Raises `BadValue` for what a type cannot hold."""
        if self._text:
            # Most keys are one text.
            return self._text + _sized(self._part(0, parts[0]))
        values = (_U32.pack(_CODES[self._types[at]]) + _sized(self._part(at, parts[at])) for at in self._order)
        return self._prefix + b"".join(values)

    def _part(self, at: int, value: object) -> bytes:
        try:
            if (number := _NUMBERS.get(self._types[at])) is not None:
                return number.pack(_whole(value))
            if isinstance(value, bytes):
                return value
            if isinstance(value, str):
                return value.encode()
        except (ValueError, struct.error) as error:
            raise BadValue(f"{self.join_keys[at]} {value!r} does not fit the key: {error}") from error
        raise BadValue(f"{self.join_keys[at]} {value!r} is no {self._types[at]}")


def _sized(body: bytes) -> bytes:
    return _U32.pack(len(body)) + body


def _whole(value: object) -> int:
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    if isinstance(value, (str, int)):
        return int(value)
    raise ValueError("it is no whole number")
