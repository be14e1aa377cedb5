from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from banquet.core.errors import BadData, BadSettings
from banquet.training.datasets.download import ARCHIVES, Archive, download

if TYPE_CHECKING:
    from pathlib import Path


def archive_of(content: bytes, most_bytes: int = 1 << 21) -> Archive:
    return Archive("ml.zip", hashlib.md5(content).hexdigest(), most_bytes)


def test_a_download_arrives_whole_and_tells_its_progress(owner, tmp_path: Path) -> None:
    """The file has the owner's bytes, no part is left, and progress ends at the total."""
    told: list[tuple[int, int | None]] = []
    file = download(
        archive_of(owner.content), tmp_path, mirror=owner.url, progress=lambda done, total: told.append((done, total))
    )
    assert file.read_bytes() == owner.content
    assert [entry.name for entry in tmp_path.iterdir()] == ["ml.zip"]
    assert told[-1] == (len(owner.content), len(owner.content))


def test_a_correct_file_is_not_fetched_again(owner, tmp_path: Path) -> None:
    """The second call asks the server nothing."""
    for _ in range(2):
        download(archive_of(owner.content), tmp_path, mirror=owner.url)
    assert len(owner.asked) == 1


def test_an_interrupted_download_goes_on_within_the_call(owner, tmp_path: Path) -> None:
    """A cut connection costs a range request for the rest, not a new start."""
    owner.cut_after = [1000]
    file = download(archive_of(owner.content), tmp_path, mirror=owner.url, pause_s=0)
    assert file.read_bytes() == owner.content
    assert owner.asked == [None, "bytes=1000-"]


def test_a_truncated_download_is_no_file_and_a_later_call_resumes_it(owner, tmp_path: Path) -> None:
    """After the last try only the part stays; the same command again completes it."""
    owner.cut_after = [1000, 500]
    with pytest.raises(BadData, match=r"ended after 1500 of 1048576 bytes.*run the same command again"):
        download(archive_of(owner.content), tmp_path, mirror=owner.url, tries=2, pause_s=0)
    assert not (tmp_path / "ml.zip").exists()
    assert download(archive_of(owner.content), tmp_path, mirror=owner.url).read_bytes() == owner.content
    assert owner.asked[-1] == "bytes=1500-"


def test_a_server_without_ranges_is_read_from_the_start(owner, tmp_path: Path) -> None:
    """A whole answer to a range request replaces the part instead of being appended."""
    owner.ranges, owner.cut_after = False, [1000]
    assert download(archive_of(owner.content), tmp_path, mirror=owner.url, pause_s=0).read_bytes() == owner.content


def test_a_complete_part_only_needs_its_name(owner, tmp_path: Path) -> None:
    """A kill between the last byte and the rename costs nothing."""
    (tmp_path / "ml.zip.part").write_bytes(owner.content)
    assert download(archive_of(owner.content), tmp_path, mirror=owner.url).read_bytes() == owner.content


def test_a_part_of_another_file_is_thrown_away(owner, tmp_path: Path) -> None:
    """A resumed download with a wrong checksum is fetched once from the start."""
    (tmp_path / "ml.zip.part").write_bytes(b"of last year's file")
    assert download(archive_of(owner.content), tmp_path, mirror=owner.url).read_bytes() == owner.content


def test_a_wrong_checksum_keeps_nothing(owner, tmp_path: Path) -> None:
    """The error names both sums, and neither file nor part is left."""
    with pytest.raises(BadData, match=r"checksum [0-9a-f]{32}, the owner publishes 0000"):
        download(Archive("ml.zip", "0000"), tmp_path, mirror=owner.url)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_too_large_is_refused(owner, tmp_path: Path) -> None:
    """The stated size is enough to stop before the first byte."""
    with pytest.raises(BadData, match="1048576 bytes, at most 1000"):
        download(archive_of(owner.content, most_bytes=1000), tmp_path, mirror=owner.url)
    assert not (tmp_path / "ml.zip").exists()


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(owner, tmp_path: Path) -> None:
    """503 is worth another try, 404 is an error that names the URL."""
    owner.statuses = [503]
    assert download(archive_of(owner.content), tmp_path / "a", mirror=owner.url, pause_s=0).exists()
    owner.statuses = [404]
    with pytest.raises(BadData, match=r"ml\.zip: the server says 404"):
        download(archive_of(owner.content), tmp_path / "b", mirror=owner.url)


def test_a_mirror_must_be_a_web_address(tmp_path: Path) -> None:
    """A file: URL would read the machine's own files."""
    with pytest.raises(BadSettings, match="--mirror 'file:///etc'"):
        download(ARCHIVES["ml-1m"], tmp_path, mirror="file:///etc")


def test_a_mirror_on_this_machine_is_asked_directly(proxy, owner, tmp_path: Path) -> None:
    """Whatever proxies the environment names."""
    assert download(archive_of(owner.content), tmp_path, mirror=owner.url).read_bytes() == owner.content
    assert proxy.asked == []


def test_a_mirror_elsewhere_is_asked_through_the_proxy(proxy, tmp_path: Path) -> None:
    """As the environment says; this proxy refuses, and the error has its status."""
    with pytest.raises(BadData, match="403"):
        download(archive_of(b"x"), tmp_path, mirror="http://files.example/ml", pause_s=0)
    assert proxy.asked == ["GET http://files.example/ml/ml.zip HTTP/1.1"]
