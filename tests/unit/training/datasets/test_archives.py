from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from banquet.core.errors import BadData
from banquet.training.datasets.archives import unzip

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["../out.txt", "/tmp/out.txt", "a/../../out.txt"])
def test_a_member_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    """A path that climbs out is refused by name."""
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as file:
        file.writestr(name, "gotcha")
    with pytest.raises(BadData, match="leads out of the archive"):
        unzip(tmp_path / "z.zip", tmp_path / "inside")
    assert not (tmp_path / "out.txt").exists()


def test_a_bomb_is_stopped_at_the_limit(tmp_path: Path) -> None:
    """What is unpacked is counted, not what the archive claims."""
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a", bytes(3_000_000))
    with pytest.raises(BadData, match="more bytes than allowed"):
        unzip(tmp_path / "z.zip", tmp_path / "inside", most_bytes=2_000_000)


def test_a_broken_archive_is_bad_data(tmp_path: Path) -> None:
    """Bytes that are no zip give one error with the file's name."""
    (tmp_path / "z.zip").write_bytes(b"no zip")
    with pytest.raises(BadData, match=r"z\.zip: not a sound zip"):
        unzip(tmp_path / "z.zip", tmp_path / "inside")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("where", [0.3, 0.6, 0.9])
def test_a_damaged_archive_is_one_line(tmp_path: Path, compression: int, where: float) -> None:
    """Whatever it was packed with, and wherever some of its bytes were changed."""
    with zipfile.ZipFile(tmp_path / "z.zip", "w", compression) as file:
        file.writestr("a.csv", "".join(f"{k * k % 9973}," for k in range(2000)))
    content = bytearray((tmp_path / "z.zip").read_bytes())
    start = int(len(content) * where)
    content[start : start + 20] = bytes(byte ^ 0x5A for byte in content[start : start + 20])
    (tmp_path / "z.zip").write_bytes(content)
    with pytest.raises(BadData, match=r"z\.zip: .*; download it again") as caught:
        unzip(tmp_path / "z.zip", tmp_path / "inside")
    assert "\n" not in str(caught.value)


def test_an_archive_with_a_password_is_one_line(tmp_path: Path) -> None:
    """It is not damaged: somebody has to unpack it."""
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as file:
        file.writestr("a.csv", "user_id")
    content = (tmp_path / "z.zip").read_bytes()
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.index(header) + flags
        content = content[:place] + b"\x01" + content[place + 1 :]
    (tmp_path / "z.zip").write_bytes(content)
    with pytest.raises(BadData, match=r"z\.zip: cannot be unpacked .*password.*; unpack it yourself and name the folder"):
        unzip(tmp_path / "z.zip", tmp_path / "inside")
