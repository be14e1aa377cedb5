"""Which views Feast is materializing, read from the registry's file without Feast (importing it takes seconds).

Source: feast/protos/feast/core/Registry.proto and FeatureView.proto, and the protobuf wire format. A registry that is not a local
file tells nothing here: then the catalogue follows the store while a view is being materialized.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FEATURE_VIEWS = (6, 14)  # Registry.feature_views, Registry.stream_feature_views
_SPEC, _META = 1, 2
_NAME, _PROJECT, _STATE = 1, 2, 6
_MATERIALIZING = 3
_MORE = 0x80


class RegistryStates:
    """The states of one project's views, read again whenever the file changes."""

    def __init__(self, file: Path | None, project: str) -> None:
        self._file = file
        self._project = project.encode()
        self._seen: tuple[int, int, int] | None = None
        self._materializing: frozenset[str] = frozenset()

    def materializing(self) -> frozenset[str]:
        """The views that are being written right now; a file caught half-written leaves the last answer standing."""
        if self._file is None:
            return frozenset()
        try:
            state = self._file.stat()
            seen = (state.st_mtime_ns, state.st_size, state.st_ino)
            if seen != self._seen:
                self._materializing = frozenset(_materializing(self._file.read_bytes(), self._project))
                self._seen = seen
        except (OSError, IndexError, UnicodeDecodeError):
            # It is being replaced; asked again at the next look.
            self._seen = None
        return self._materializing


def _materializing(registry: bytes, project: bytes) -> Iterator[str]:
    for number, view in _fields(registry):
        if number not in _FEATURE_VIEWS or not isinstance(view, bytes):
            continue
        parts = {part: body for part, body in _fields(view) if isinstance(body, bytes)}
        spec, meta = dict(_fields(parts.get(_SPEC, b""))), dict(_fields(parts.get(_META, b"")))
        name = spec.get(_NAME, b"")
        if spec.get(_PROJECT) == project and meta.get(_STATE) == _MATERIALIZING and isinstance(name, bytes):
            yield name.decode()


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """The fields of a protobuf message: number and value, varints as int, others as bytes. Raises `IndexError` when cut short."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        match key & 7:
            case 0:
                value, at = _varint(message, at)
                yield key >> 3, value
                continue
            case 1:
                size = 8
            case 5:
                size = 4
            case 2:
                size, at = _varint(message, at)
            case other:
                raise IndexError(f"wire type {other}")
        if at + size > len(message):
            raise IndexError("cut short")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & (_MORE - 1)) << shift
        if byte < _MORE:
            return value, at
        shift += 7
