"""Texts with square brackets, as `weight [/kg]`, are no markup: every command prints them as they are."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from banquet.app.commands.dataset import _print_skew
from banquet.app.commands.engines import _table
from banquet.app.tables import show
from banquet.releases import rollout_file
from banquet.training.progress import Progress
from banquet.training.report import metrics_tables
from banquet.training.served.skew import Example, FeatureSkew
from tests.release_factory import make_release

# Closes nothing, opens something, names a picture, and is a link.
TEXTS = ["weight [/kg]", "height [cm]", "[/free]", "[Gold]", "[bold]x[/bold]", ":heart:", "[link=x]y[/link]", "a\\[b]"]


@pytest.mark.parametrize("text", TEXTS)
def test_everything_that_is_shown_stays_as_it_is(capsys, text) -> None:
    """Lines, headings, headers, cells and captions."""
    table = Table(f"header {text}", title=f"title {text}", caption=f"caption {text}")
    table.add_row(f"cell {text}")
    show(f"line {text}", table, Text(f"text {text}"))
    shown = capsys.readouterr().out
    assert [part for part in ("line", "title", "header", "cell", "caption", "text") if f"{part} {text}" not in shown] == []


def test_a_long_heading_is_not_broken_at_the_width_of_its_table(capsys) -> None:
    """It has the whole line, and so has what stands below."""
    show(Table("a", title="Told apart 289 items: liked or not", caption="newest: its last event; unpushed: rows that wait"))
    shown = capsys.readouterr().out
    assert "Told apart 289 items: liked or not" in shown
    assert "newest: its last event; unpushed: rows that wait" in shown


@pytest.mark.parametrize("text", TEXTS)
def test_notes_of_training_stay_as_they_are(text) -> None:
    """Beside a bar, and on a line of their own where there is no terminal."""
    for terminal in (True, False):
        console = Console(file=StringIO(), force_terminal=terminal, width=200, markup=False, emoji=False)
        with Progress(console) as progress:
            progress.begin(text, 1)
            progress.note(f"note {text}")
        assert f"note {text}" in console.file.getvalue()


def test_notes_of_training_have_their_place_in_a_narrow_terminal() -> None:
    """Beside the step, of how many, and the time."""
    console = Console(file=StringIO(), force_terminal=True, width=80, color_system=None)
    with Progress(console) as progress:
        progress.begin("retrieval", 5000)
        for _ in range(4999):
            progress.advance()
        progress.note("epoch 38/39 loss 4.389 valid NDCG@10 0.0815")
    last = [line for line in console.file.getvalue().splitlines() if "epoch" in line][-1]
    assert "4999/5000" in last
    assert "epoch 38/39 loss 4.389 valid NDCG@10 0.08" in last
    assert "…" not in last.partition("epoch")[0]


@pytest.mark.parametrize("text", TEXTS)
def test_answers_stay_as_they_are(run, gateway, text) -> None:
    """Users, items, attributes and releases, in every command that asks a gateway."""
    gateway.attributes = {text: text, "title": text}
    gateway.named = text
    for words in (["recommend", "--user", text], ["rank", "--user", text, "--items", "i1"], ["similar", "--item", text]):
        result = run(*words, "--explain")
        assert result.exit_code == 0, result.output
        assert result.stdout.count(text) >= 5
    assert f"release {text}" in run("status").stdout


@pytest.mark.parametrize("text", TEXTS)
def test_errors_stay_as_they_are(run, text) -> None:
    """What a user typed comes back as typed."""
    result = run("data", "import", text)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {text}: no such file")


def test_datasets_stay_as_they_are(run, tmp_path: Path) -> None:
    """From the import of such tables to what is shown of them."""
    folder = tmp_path / "[tables]"
    folder.mkdir()
    (folder / "interactions.csv").write_text("user_id,item_id,event_time\nu0,[/i0],1700000000\n")
    (folder / "users.csv").write_text("user_id,height [cm],plan\nu0,150,[/free]\n")
    (folder / "items.csv").write_text("item_id,weight [/kg],title\n[/i0],0,[Sale] i0 [/b]\n")
    data = str(tmp_path / "[/data]")
    imported = run("data", "import", str(folder), "--out", data)
    assert imported.exit_code == 0, imported.output
    shown = run("data", "show", data).stdout
    for text in ("[tables] in", "[/data]", "height [cm], plan", "weight [/kg]", "[/i0]", "[Sale] i0 [/b]"):
        assert text in shown
    assert "weight [/kg]" in imported.stdout


def test_releases_stay_as_they_are(run, tmp_path: Path) -> None:
    """Folders, and why somebody rolled back."""
    releases = tmp_path / "[/releases]"
    version = make_release(releases).name
    places = ["--releases", str(releases), "--model-store", str(tmp_path / "[store]")]
    built = run("release", "build", *places)
    rollout_file.change(releases, "deploy", version, lambda state: state.deploy("[/r]"), why="worse [/b]")
    outputs = [built.stdout, *(run("release", *words).stdout for words in (["list", *places], ["verify", *places]))]
    assert all("[store]" in text or "[/releases]" in text for text in outputs)
    assert "worse [/b]" in run("release", "history", "--releases", str(releases)).stdout
    archive = next((tmp_path / "[store]").glob("cascade-*.mar"))
    assert "[store]" in run("release", "inspect", str(archive)).stdout


def test_reports_stay_as_they_are(capsys) -> None:
    """Tables of training, of skew and of engines, whose names come from data and from models of somebody's own."""
    text = "[/x]"
    numbers = {"hr@10": 0.1, "ndcg@10": 0.1, "auc": 0.5, "log_loss": 0.5}
    retrieval = {"targets": 1, "popularity": numbers, "markov": numbers, "model": numbers}
    ranking = {"rows": 1, "task": text, "cascade": numbers, "logistic_regression": numbers, "model": numbers}
    seconds = {text: {"wall": 1.0, "cpu": 1.0}}
    show(*metrics_tables({"retrieval": retrieval, "ranking": ranking, "seconds": seconds}))
    _print_skew([FeatureSkew("item", text, 1, 1, 0, 0, (Example(text, "2026-01-01", "r1", text, text),))])
    plan = {"graph": text, "target": "sm89", "precision": "fp32", "profiles": [], "bytes": 1, "seconds": 1.0, "written": True}
    show(_table(text, [plan]))
    assert capsys.readouterr().out.count(text) == 9
