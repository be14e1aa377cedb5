"""The text of a file as UTF-8, whatever it was compressed and encoded with."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from banquet.core.errors import BadData

if TYPE_CHECKING:
    from pathlib import Path

# By their first bytes, since browsers and tools unpack files without renaming them.
COMPRESSIONS = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}
# The longer first: UTF-32's mark begins with UTF-16's.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def text_of(file: Path, encoding: str | None = None) -> bytes:
    """UTF-8 bytes without a byte order mark. `encoding` is that of a file without a mark that is no UTF-8.

    Raises `BadData` naming the file, the line and the remedy.
    """
    content = _unpacked(file)
    marked = next((one for one in MARKS if content.startswith(one[0])), None)
    if marked:
        content = _as_utf8(file, content[len(marked[0]) :], marked[1])
    elif not _is_utf8(content):
        content = _as_utf8(file, content, encoding or "utf-8")
    if not content.strip():
        raise BadData(f"{file}: the file is empty; give one with data")
    return content


def require_bytes(file: Path) -> None:
    """Raises `BadData` when the file is not there or empty."""
    if not file.is_file():
        raise BadData(f"{file}: no such file; put it there or name another")
    if not file.stat().st_size:
        raise BadData(f"{file}: the file is empty; give one with data")


def _unpacked(file: Path) -> bytes:
    require_bytes(file)
    try:
        content = file.read_bytes()
        for first, compression in COMPRESSIONS.items():
            if content.startswith(first):
                return bytes(pa.CompressedInputStream(pa.py_buffer(content), compression).read())
    except (OSError, pa.ArrowException) as error:
        raise BadData(f"{file}: not readable ({error}); copy or download the file again") from error
    return content


def _as_utf8(file: Path, content: bytes, encoding: str) -> bytes:
    if encoding == "utf-8" and b"\0" in content:
        raise BadData(f"{file}: has zero bytes, which are in no UTF-8 text; name its encoding, such as --encoding utf-16-le")
    try:
        return content.decode(encoding).encode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{content[error.start]:02x}" if error.start < len(content) else "the end"
        remedy = "name the file's encoding, such as --encoding latin-1 or cp1252"
        raise BadData(f"{file}, line {line}: {found} is not {encoding.upper()}; {remedy}") from error


def _is_utf8(content: bytes) -> bool:
    """Without making a second copy of it, as `bytes.decode` does; zero bytes are in no text, but in UTF-16 all over."""
    offsets = pa.py_buffer(np.array([0, len(content)], np.int64))
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(content)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return b"\0" not in content
