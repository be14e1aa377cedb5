"""`banquet release deploy|canary|shadow|promote|rollback|history`, as a person and as a program use them."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from banquet.app.cli import app
from banquet.app.serving_file import DeployerReport, write_deployer
from banquet.releases import rollout_file
from tests.release_factory import make_catalogue, make_release


@pytest.fixture
def other(release):
    """A second release; the first stays in force."""
    made = make_release(release.parent, seed=1)
    rollout_file.change(release.parent, "train", release.name, lambda state: state.put_in_force(release.name))
    return made


@pytest.fixture
def run(release, tmp_path):
    def run(*words, code=0):
        places = ["--releases", str(release.parent)]
        if words[0] not in {"rollback", "history"}:
            places += ["--model-store", str(tmp_path / "store")]
        result = CliRunner().invoke(app, ["release", *words, *places], env={"COLUMNS": "200"})
        assert result.exit_code == code, result.output
        return result.output

    return run


@pytest.fixture
def built(run, release, other):
    for one in (release, other):
        run("build", "--release", one.name)


@contextmanager
def deployer(release, act):
    """Something that lives as the deployer does and does `act` with each new state."""
    root, over = release.parent, threading.Event()
    ready = threading.Event()

    def live():
        with rollout_file.deploying(root) as alone:
            assert alone
            ready.set()
            done = -1
            while not over.wait(0.02):
                state = rollout_file.read(root)
                if state.revision != done:
                    write_deployer(root.parent / "run", DeployerReport(time.time(), done, f"loading {state.revision}"))
                    act(root, state)
                    done = rollout_file.read(root).revision
                    write_deployer(root.parent / "run", DeployerReport(time.time(), done))

    thread = threading.Thread(target=live)
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_the_verbs_change_what_is_wanted_when_nothing_is_served(run, built, release, other):
    """And say that the next start will do it."""
    assert "next `banquet up`" in run("deploy", other.name)
    for words, mode, percent in (
        (("canary", "--percent", "10"), "canary", 10),
        (("shadow", other.name), "shadow", 5),
        (("promote",), "promote", 0),
    ):
        state = json.loads(run(*words, "--json"))
        assert state["candidate"] == {"release": other.name, "mode": mode, "percent": percent}
        assert (state["stable"], state["applied"]) == (release.name, False)
    (one, two) = json.loads(run("list", "--json"))["releases"]
    assert {row["version"]: row["state"] for row in (one, two)} == {release.name: "stable", other.name: "promote"}
    assert json.loads(run("rollback", "--why", "slow", "--json"))["candidate"] is None
    history = json.loads(run("history", "--json"))["history"]
    assert [entry["verb"] for entry in history][-5:] == ["deploy", "canary", "shadow", "promote", "rollback"]
    assert history[-1]["why"] == "slow"
    assert "slow" in run("history")


def test_a_command_waits_for_the_deployer_and_tells_what_it_is_at(run, built, release, other):
    """It ends when all is done."""
    with deployer(release, lambda root, state: time.sleep(0.3)):
        said = run("deploy", other.name)
        assert "loading" in said
        assert f"candidate: {other.name}, loaded" in said
        assert json.loads(run("canary", "--json"))["applied"] is True


def test_what_the_deployer_refuses_ends_with_its_reason(run, built, release, other):
    """In one line, with exit code 2."""

    def refuse(root, state):
        if state.candidate is not None:
            rollout_file.change(root, "refused", other.name, lambda state: state.rollback(), why="boom", by="deployer")

    with deployer(release, refuse):
        assert f"error: release {other.name} is refused: boom" in run("deploy", other.name, code=2)


def test_a_command_that_waited_long_enough_says_what_goes_on(run, built, release, other):
    """Exit code 1: nothing is wrong, only slow."""
    with deployer(release, lambda root, state: time.sleep(1.0)):
        assert "it goes on" in run("deploy", other.name, "--wait", "0.3", code=1)


def test_what_cannot_be_served_is_not_written_down(run, release, other, tmp_path):
    """No archives, a changed byte, a schema that does not fit, an unknown release, nothing to go back to."""
    before = rollout_file.read(release.parent)
    assert f"release build --release {other.name}" in run("deploy", other.name, code=2)
    run("build", "--release", other.name)
    path = tmp_path / "store" / f"ranking-{other.name}.mar"
    whole = path.read_bytes()
    path.write_bytes(whole[:-30] + b"x" * 30)
    assert path.name in run("canary", other.name, code=2)
    path.write_bytes(whole)
    assert "allowed: above 0, at most 100" in run("canary", other.name, "--percent", "0", code=2)
    assert "no release 'nope'" in run("promote", "nope", code=2)
    assert "there is no candidate" in run("promote", code=2)
    (tmp_path / "catalogue").mkdir()
    make_catalogue(tmp_path / "catalogue", without=("year",))
    assert "feature 'year'" in run("deploy", other.name, code=2)
    assert rollout_file.read(release.parent) == before
