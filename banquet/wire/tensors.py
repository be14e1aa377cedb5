"""Named arrays as bytes: the payload of a model job and the body of a catalogue file.

The format is safetensors (source: its format description): an 8-byte little-endian header length, a JSON header, then the arrays
back to back. Reading makes views of the buffer and copies nothing, so that a file can be memory-mapped. No pickle, ever.
"""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[Any]

MAX_HEADER_BYTES = 16 * 2**20
_DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "I32": np.dtype(np.int32),
    "I64": np.dtype(np.int64),
    "F16": np.dtype(np.float16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_ALIGNMENT = 8


class BadTensors(ValueError):
    """The bytes are not a whole safetensors buffer."""


def pack(arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> bytes:
    """Serialize arrays (any shape) and text metadata. Raises `BadTensors` naming an array of a type the format lacks.

    Written here because it is on the way of every query: the library takes twice as long for small arrays.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    bodies: list[bytes] = []
    end = 0
    # Wide types first, so that every array is aligned to its own type.
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize):
        body = array.tobytes()
        begin, end = end, end + len(body)
        header[name] = {"dtype": _name_of(name, array.dtype), "shape": array.shape, "data_offsets": (begin, end)}
        bodies.append(body)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return b"".join((struct.pack("<Q", len(text)), text, *bodies))


def _name_of(name: str, dtype: np.dtype[Any]) -> str:
    known = _NAMES.get(dtype)
    if known is None:
        raise BadTensors(f"array {name!r} is {dtype}; allowed: {', '.join(str(known) for known in _NAMES)}")
    return known


def unpack(buffer: bytes | bytearray | memoryview | Array) -> tuple[dict[str, Array], dict[str, str]]:
    """Arrays as read-only views of `buffer`, and the metadata. Raises `BadTensors` on anything truncated or malformed."""
    body = np.frombuffer(buffer, dtype=np.uint8)
    try:
        (header_bytes,) = struct.unpack("<Q", body[:8].tobytes())
        if header_bytes > min(MAX_HEADER_BYTES, body.nbytes - 8):
            raise BadTensors(f"header of {header_bytes} bytes in a buffer of {body.nbytes}")
        header = json.loads(body[8 : 8 + header_bytes].tobytes())
        metadata = header.pop("__metadata__", None) or {}
        if not all(isinstance(text, str) for text in metadata.values()):
            raise BadTensors("metadata holds something else than text")
        start = 8 + header_bytes
        return {name: _view(body[start:], name, entry) for name, entry in header.items()}, metadata
    except (struct.error, KeyError, TypeError, AttributeError, ValueError) as error:
        raise error if isinstance(error, BadTensors) else BadTensors(f"not a safetensors buffer: {error}") from error


def _view(data: NDArray[np.uint8], name: str, entry: Mapping[str, Any]) -> Array:
    dtype, shape, (begin, end) = _DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
    if not 0 <= begin <= end <= data.nbytes or end - begin != math.prod(shape) * dtype.itemsize or min(shape, default=0) < 0:
        raise BadTensors(f"tensor {name!r} does not fit its buffer")
    array = np.ndarray(shape, dtype, buffer=data[begin:end])
    array.flags.writeable = False
    return array
