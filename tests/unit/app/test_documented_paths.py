"""Paths of the workspace that documents and messages name are those of the code."""

import re
from pathlib import Path

import pytest

from banquet.app.settings import Settings

PROJECT = Path(__file__).parents[3]
TEXTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md")), *sorted((PROJECT / "banquet").rglob("*.py"))]
# What commands make that no setting names: `data`, `data download` and `dataset build`.
MADE = {"data", "downloads", "trainset"}


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: str(file.relative_to(PROJECT)))
def test_folders_of_the_workspace_are_called_as_in_the_code(file: Path) -> None:
    """`var/log` everywhere, and so on."""
    settings = Settings()
    folders = [settings.releases, settings.engines, settings.catalogue, settings.feedback, settings.served_folder]
    known = {folder.name for folder in [*folders, settings.torchserve_folder, settings.logs, settings.run_folder]} | MADE
    assert set(re.findall(r"\bvar/([a-z_-]+)", file.read_text())) <= known
