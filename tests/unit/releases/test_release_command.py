"""The command `banquet release`, as a person and as a program use it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from banquet.app.cli import app


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
    """The one in force is marked, its archives are named."""
    run("build")
    (one,) = json.loads(run("list", "--json"))["releases"]
    assert (one["version"], one["in_force"], one["archives"]) == (release.name, True, ["cascade", "ranking", "retrieval"])
    assert release.name in run("list")


def test_an_unknown_release_ends_with_code_2(run):
    """The error is one line that names what there is."""
    assert "no release 'nope'" in run("build", "--release", "nope", code=2)
