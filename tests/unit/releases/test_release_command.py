"""The command `banquet release`, as a person and as a program use it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from banquet.app.cli import app
from banquet.releases import rollout_file


@pytest.fixture
def run(release, tmp_path):
    def run(*words, code=0):
        places = ["--releases", str(release.parent)]
        if words[0] != "inspect":
            places += ["--model-store", str(tmp_path / "store")]
        result = CliRunner().invoke(app, ["release", *words, *places])
        assert result.exit_code == code, result.output
        return result.output

    return run


def test_archives_are_built_once(run):
    """The second build says that nothing was written."""
    first, second = (json.loads(run("build", "--json")) for _ in range(2))
    assert [one["written"] for one in first["archives"]] == [True] * 3
    assert [one["written"] for one in second["archives"]] == [False] * 3


def test_a_release_is_shown_whole(run, release):
    """What a program reads has schema, graphs, metrics and files; a person sees the same as tables."""
    shown = json.loads(run("inspect", "--json"))
    assert shown["version"] == release.name
    assert shown["metrics"] == {"retrieval": {"ndcg@10": 0.1}}
    assert "retrieval.ndcg@10" in run("inspect", release.name)


def test_an_archive_is_shown(run, tmp_path, release):
    """An archive is inspected by its file."""
    run("build")
    shown = json.loads(run("inspect", str(tmp_path / f"store/ranking-{release.name}.mar"), "--json"))
    assert (shown["model"], shown["release"]) == ("ranking", release.name)


def test_a_release_is_verified_with_its_archives(run, tmp_path, release):
    """Release and archives are checked; a changed byte ends with exit code 2 and the file's name."""
    run("build")
    assert len(json.loads(run("verify", "--json"))["checked"]) == 4
    path = tmp_path / f"store/cascade-{release.name}.mar"
    path.write_bytes(path.read_bytes()[:-1])
    assert path.name in run("verify", code=2)
    assert path.name in run("verify", str(path), code=2)


def test_releases_are_listed(run, release):
    """The one in force is marked, its archives are named; without them, the command that makes them."""
    assert f"banquet release build --release {release.name}" in run("list")
    run("build")
    (one,) = json.loads(run("list", "--json"))["releases"]
    assert (one["version"], one["in_force"], one["archives"]) == (release.name, True, ["cascade", "ranking", "retrieval"])
    assert release.name in run("list")
    assert "release build" not in run("list")


def test_the_list_can_be_read_in_a_narrow_terminal(run, release, monkeypatch):
    """A long reason is for the history: words and dates stay whole beside it."""
    monkeypatch.setenv("COLUMNS", "80")
    why = "its click-through rate was lower than that of the stable release for an hour, by chance one in a million"
    rollout_file.change(release.parent, "rollback", release.name, lambda state: state.deploy("103b0a16f3aa0"), why=why)
    shown = run("list")
    assert all(
        word in shown
        for word in (release.name, "rollback", "stable", json.loads(run("list", "--json"))["releases"][0]["created_at"][:10])
    )
    assert "click-through" not in shown
    assert "click-through" in json.loads(run("list", "--json"))["releases"][0]["last"]


def test_an_unknown_release_ends_with_code_2(run):
    """The error is one line that names what there is."""
    assert "no release 'nope'" in run("build", "--release", "nope", code=2)


def test_engines_are_built_ahead_for_gpus_elsewhere(release, tmp_path):
    """Once; a program gets every plan's file, size and profiles, a person a table."""
    words = ["--releases", str(release.parent), "--engines", str(tmp_path / "engines"), "--target", "sm89", "--target", "SM120"]
    first = json.loads(CliRunner().invoke(app, ["release", "engines", *words, "--json"]).stdout)
    assert [(plan["graph"], plan["target"], plan["written"]) for plan in first["plans"]] == [
        (graph, target, True) for target in ("sm89", "sm120") for graph in ("history_encoder", "ranker")
    ]
    for plan in first["plans"]:
        assert (Path(plan["folder"]) / "plan").stat().st_size == plan["bytes"]
        assert plan["profiles"][0]["B"] == [1, 1, 1]
    shown = CliRunner().invoke(app, ["release", "engines", *words]).stdout
    assert "sm120" in shown
    assert "yes" not in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--target", "sm90"], "--target sm90: tensorrt_rtx .* builds for sm75, .*install `tensorrt`"),
        (["--target", "sm89", "--precision", "fp8"], "--precision 'fp8' is not one of: fp32, fp16, bf16"),
        (["--target", "sm75"], "`fp16` may do"),
        pytest.param(
            [], "no GPU to build for; name one", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
        ),
    ],
)
def test_engines_that_cannot_be_built_are_named_with_the_remedy(release, tmp_path, words, said):
    """One line and exit code 2."""
    places = ["--releases", str(release.parent), "--engines", str(tmp_path / "engines")]
    result = CliRunner().invoke(app, ["release", "engines", *places, *words])
    assert result.exit_code == 2
    assert re.search(said, result.output)
