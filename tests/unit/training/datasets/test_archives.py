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
