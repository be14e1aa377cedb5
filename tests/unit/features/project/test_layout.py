"""The layout file that tells readers what the store holds."""

from pathlib import Path

import pytest

from banquet.core.errors import StageFailed
from banquet.features.project import layout as module
from banquet.features.project.layout import LAYOUT_FILE, Layout, LayoutFile, read_layout, registry_token


def test_a_layout_survives_its_file(layout_folder: Path) -> None:
    """What was written is what is read."""
    assert Layout.from_json(read_layout(layout_folder).to_json()) == read_layout(layout_folder)


def test_no_layout_yet_is_an_unavailable_store(tmp_path: Path) -> None:
    """The gateway may start before the builder has published."""
    with pytest.raises(StageFailed, match=r"unavailable.*is not there yet"):
        LayoutFile(tmp_path).current()


def test_a_broken_layout_is_named(layout_folder: Path) -> None:
    """With its remedy."""
    (layout_folder / LAYOUT_FILE).write_text('{"project": 1')
    with pytest.raises(StageFailed, match=r"layout\.json.*delete it"):
        LayoutFile(layout_folder).current()


def test_a_new_layout_is_taken_up(layout_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `feast apply` the readers follow by themselves."""
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.0)
    file = LayoutFile(layout_folder)
    first = file.current()
    assert file.current() is first
    (layout_folder / LAYOUT_FILE).write_text(first.to_json().replace('"token"', '"newer"'))
    assert file.current().registry == "newer"


def test_a_layout_that_vanished_stays_in_force(layout_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known is better than nothing."""
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.0)
    file = LayoutFile(layout_folder)
    first = file.current()
    (layout_folder / LAYOUT_FILE).unlink()
    assert file.current() is first


def test_a_registry_token_changes_with_the_file(tmp_path: Path) -> None:
    """And is empty where there is no file."""
    file = tmp_path / "registry.db"
    assert registry_token(None) == registry_token(file) == ""
    file.write_bytes(b"1")
    before = registry_token(file)
    file.write_bytes(b"22")
    assert "" != before != registry_token(file)
