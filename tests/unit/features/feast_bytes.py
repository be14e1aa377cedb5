"""What Feast writes, by hand: unit tests do not load Feast."""

import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from banquet.features.project.layout import Layout, View

LAYOUT = Layout(
    "banquet",
    "token",
    users=(
        View(
            "user_profile",
            "user_profile",
            "user",
            ("user_id",),
            ("STRING",),
            {"age": "INT64", "city": "STRING"},
            own_key="user_id",
        ),
        View(
            "user_activity",
            "user_activity",
            "user",
            ("user_id",),
            ("STRING",),
            {"history": "STRING_LIST", "rating_mean": "FLOAT"},
            own_key="user_id",
        ),
    ),
    items=(
        View(
            "item_profile",
            "item_profile",
            "item",
            ("item_id",),
            ("STRING",),
            {"available": "BOOL", "title": "STRING", "genres": "STRING_LIST"},
        ),
        View(
            "item_activity",
            "item_activity",
            "item",
            ("item_id",),
            ("STRING",),
            {"interaction_count": "INT64", "rating_mean": "FLOAT"},
        ),
    ),
)
Write = Callable[[str, str, dict[str, bytes]], None]


def make_anew(file: Path) -> None:
    """Put a copy in the file's place: the same content in another file."""
    copy = file.with_suffix(".new")
    copy.write_bytes(file.read_bytes())
    copy.replace(file)


def text(value: str) -> bytes:
    body = value.encode()
    assert len(body) < 128
    return b"\x12" + bytes([len(body)]) + body


def texts(values: Iterable[str]) -> bytes:
    body = b"".join(b"\x0a" + text(value)[1:] for value in values)
    assert len(body) < 128
    return b"\x62" + bytes([len(body)]) + body


def integer(value: int) -> bytes:
    assert 0 <= value < 128
    return b"\x20" + bytes([value])


def real(value: float) -> bytes:
    return b"\x35" + struct.pack("<f", value)


def flag(value: bool) -> bytes:
    return b"\x38" + bytes([value])
