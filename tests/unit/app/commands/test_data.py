from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from banquet.app.commands.data import app
from banquet.core.errors import BadData, BadSettings
from banquet.training.datasets.dataset import Dataset

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


def test_every_option_of_an_import_reaches_the_reader(tmp_path: Path) -> None:
    """What texts look like, what types mean, what is left out; notes go to stderr, beside the JSON."""
    rows = ["a;x;2024-05-01;view;2,5", "a;x;2024-05-01;view;2,5", "b;z;2024-05-02;cart;1", "b;y;2024-05-03;refund;9"]
    (tmp_path / "e.csv").write_text("user_id;item_id;event_time;event_type;value\n" + "\n".join(rows))
    (tmp_path / "goods.csv").write_bytes("item_id;tags;price;town\nx;a||b;2,5;Köln\ny;;none;Köln\n".encode("latin-1"))
    files = [str(tmp_path / "e.csv"), "--items", str(tmp_path / "goods.csv"), "--out", str(tmp_path / "d"), "--json"]
    texts = ["--lists", "tags", "--list-separator", "||", "--decimal", ",", "--encoding", "latin-1", "--missing", "none"]
    events = ["--event-types", "view=impression,cart=click,refund=ignore", "--drop-duplicates", "--drop-unknown-items"]
    result = CliRunner().invoke(app, ["import", *files, *texts, *events], catch_exceptions=False)
    assert json.loads(result.stdout)["interactions"] == 1
    assert [" ".join(note.split(": ")[2].split()[:4]) for note in result.stderr.splitlines()] == [
        "1 of 4 events",
        "1 of 3 events",
        "1 of 2 events",
    ]
    made = Dataset.load(tmp_path / "d")
    assert made.items.to_pylist()[0] == {"item_id": "x", "tags": ["a", "b"], "price": 2.5, "town": "Köln", "available": True}
    assert made.interactions.to_pylist()[0]["event_type"] == "impression"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--decimal", ";"], "--decimal ';': a point or a comma"),
        (["--list-separator", ""], "--list-separator is empty"),
        (["--encoding", "latin-99"], "--encoding 'latin-99' is unknown"),
        (["--event-types", "view=buy"], "--event-types 'view=buy': write it as"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(tmp_path: Path, options: list[str], message: str) -> None:
    """Before any file is read."""
    with pytest.raises(BadSettings, match=message):
        run("import", str(tmp_path / "none.csv"), *options, "--out", str(tmp_path / "d"))


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
