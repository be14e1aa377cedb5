"""Files that are whole or absent, and errors that name them."""

from __future__ import annotations

import contextlib
import resource
from typing import TYPE_CHECKING

import pytest

from banquet.core.errors import BadRelease
from banquet.releases import mar
from banquet.wire.files import temporary_neighbour, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def small_disk(most_bytes: int) -> Iterator[None]:
    """No file of this process may be larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_does_not_fit_is_named_and_leaves_the_old_one(tmp_path: Path) -> None:
    """Not the temporary file, which is gone by then."""
    path = tmp_path / "state.json"
    path.write_text("old")
    with small_disk(1000), pytest.raises(OSError, match="File too large") as caught:
        write_atomically(path, bytes(10_000))
    assert caught.value.filename == str(path)
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("state.json", "old")]


def test_a_folder_that_is_not_there_is_named_by_the_file(tmp_path: Path) -> None:
    """As above."""
    path = tmp_path / "gone" / "state.json"
    with pytest.raises(FileNotFoundError) as caught:
        write_atomically(path, b"new")
    assert caught.value.filename == str(path)


def test_other_errors_stay_as_they_are(tmp_path: Path) -> None:
    """Of a file that was read meanwhile, or of no file at all."""
    with pytest.raises(FileNotFoundError) as caught, temporary_neighbour(tmp_path / "new"):
        (tmp_path / "source").read_bytes()
    assert caught.value.filename == str(tmp_path / "source")
    with pytest.raises(ZeroDivisionError), temporary_neighbour(tmp_path / "new"):
        _ = 1 / 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [bytes(10_000), None], ids=["content", "file"])
def test_an_archive_that_does_not_fit_is_named(tmp_path: Path, content: bytes | None) -> None:
    """With the remedy, and nothing of it is left."""
    source = tmp_path / "weights"
    source.write_bytes(bytes(10_000))
    store = tmp_path / "store"
    store.mkdir()
    path = store / "ranking-103b0a16f3aa.mar"
    with small_disk(5000), pytest.raises(BadRelease, match=r"--model-store") as caught:
        mar.write(path, "ranking", "103b0a16f3aa", "2026-01-01", {"release/weights": content or source})
    assert str(caught.value).startswith(f"{path}: the archive cannot be written (File too large)")
    assert not list(store.iterdir())
