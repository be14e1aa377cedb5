"""What `banquet train` asks for before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.testing import CliRunner

from banquet.app.cli import app
from banquet.training.datasets.synthetic import synthesize

if TYPE_CHECKING:
    from pathlib import Path


def test_placements_that_cannot_be_read_cost_no_training(tmp_path: Path, monkeypatch) -> None:
    """The evaluation at the end needs them; without them nothing is trained, and no release comes into force."""
    synthesize(users=40, items=50, events=400, seed=1).write(tmp_path / "data")
    monkeypatch.setenv("BANQUET_PLACEMENTS_FILE", str(tmp_path / "none.yaml"))
    releases = tmp_path / "releases"
    asked = ["train", "--data", str(tmp_path / "data"), "--out", str(releases), "--threads", "1"]
    result = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert (result.exit_code, "none.yaml" in result.stderr) == (2, True), result.output
    assert not releases.exists()
