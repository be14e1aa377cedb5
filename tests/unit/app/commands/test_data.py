from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from banquet.app.commands.data import app
from banquet.core.errors import BadData, BadSettings

if TYPE_CHECKING:
    from pathlib import Path

SIZES = ["--users", "40", "--items", "50", "--events", "400"]


def run(*arguments: str) -> str:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False).output


def test_synthetic_data_can_be_shown_to_people_and_programs(tmp_path: Path) -> None:
    """A person sees titles in a table; a program reads the same facts as JSON."""
    folder = str(tmp_path / "data")
    made = json.loads(run("synthetic", *SIZES, "--out", folder, "--json"))
    assert (made["users"], made["items"], made["interactions"], made["folder"]) == (40, 50, 400, folder)
    shown = json.loads(run("show", folder, "--json"))
    assert len(shown["most_popular"]) == 10
    assert shown["most_popular"][0]["title"] in run("show", folder)


def test_your_own_tables_are_imported_with_a_mapping(tmp_path: Path) -> None:
    """Options reach the reader: mapping, items beside the file, name."""
    (tmp_path / "clicks.csv").write_text("visitor,sku,at\na,x,1714557600\n")
    (tmp_path / "goods.csv").write_text("sku,label\nx,The X\n")
    names = ["--map", "user_id=visitor,item_id=sku", "--map", "event_time=at,title=label", "--items", str(tmp_path / "goods.csv")]
    made = json.loads(
        run("import", str(tmp_path / "clicks.csv"), *names, "--name", "mine", "--out", str(tmp_path / "d"), "--json")
    )
    assert (made["name"], made["interactions"], made["text_columns"]) == ("mine", 1, ["title"])


def test_bad_data_writes_nothing(tmp_path: Path) -> None:
    """An import that fails leaves no folder, half or whole."""
    (tmp_path / "clicks.csv").write_text("user_id,item_id,event_time\na,,1714557600\n")
    with pytest.raises(BadData, match="line 2, column 'item_id'"):
        run("import", str(tmp_path / "clicks.csv"), "--out", str(tmp_path / "d"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["clicks.csv"]


def test_an_unknown_download_lists_the_known(tmp_path: Path) -> None:
    """The error names the value and what may be chosen."""
    with pytest.raises(BadSettings, match="no dataset 'netflix' to download; choose one of ml-100k, ml-1m"):
        run("download", "netflix", "--out", str(tmp_path / "d"))
