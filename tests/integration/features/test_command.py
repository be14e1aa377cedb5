"""`banquet features`, as a person and as a program use it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from banquet.app.commands.features import app
from banquet.core.errors import BadSettings
from tests.integration.features.world import World, dataset, sqlite_world


def run(world: World, *words: str) -> str:
    places = ["--repo", str(world.repo.folder), "--catalogue", str(world.catalogue)]
    done = CliRunner().invoke(app, [*words, *places], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_prepare_says_what_is_there() -> None:
    """Already prepared: quickly, for a person and for a program."""
    world = sqlite_world()
    assert "already there" in run(world, "prepare", "--data", str(dataset()))
    body = json.loads(run(world, "prepare", "--data", str(dataset()), "--json"))
    assert (body["dataset"], body["redone"], body["rows"]["item_profile"]) == ("small", False, 4)


def test_a_catalogue_can_be_built_and_looked_at(sqlite: World) -> None:
    """Version, items, age and what is missing."""
    assert "none; run" in run(sqlite, "status")
    built = json.loads(run(sqlite, "build-catalogue", "--json"))
    found = json.loads(run(sqlite, "status", "--json"))
    assert (found["version"], found["items"]) == (built["version"], 4)
    assert {column["name"]: column["missing"] for column in found["columns"]}["title"] == 0.25
    assert built["version"] in run(sqlite, "build-catalogue")
    assert "genres" in run(sqlite, "status")


def test_users_are_shown_as_they_are(sqlite: World) -> None:
    """A user's id and features are no markup, and numbers have no digits that were never stored."""
    run(sqlite, "build-catalogue")
    assert "[/u1]: unknown" in run(sqlite, "user", "[/u1]")
    assert "0 items " in run(sqlite, "user", "[/u1]")


def test_a_folder_that_is_no_repo_is_named(tmp_path: Path) -> None:
    """The command line turns this into one line and exit code 2."""
    with pytest.raises(BadSettings, match=r"feature_store\.yaml does not exist"):
        CliRunner().invoke(app, ["status", "--repo", str(tmp_path)], catch_exceptions=False)
