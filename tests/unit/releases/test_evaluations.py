"""What an evaluation found is kept beside the releases, and a release that is worse than popularity is not promoted by itself."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest
from typer.testing import CliRunner

from banquet.app.cli import app
from banquet.core.errors import BadRelease
from banquet.releases import evaluations, registry, rollout_file
from banquet.releases.manifest import verify
from tests.unit.releases.test_rollout_commands import built, deployer, other, run

__all__ = ["built", "other", "run"]


def body_of(version, **worse):
    """Questions by name, and whether popularity answers them better."""
    questions = [
        {
            "name": name,
            "title": f"the question {name}",
            "users": 1_200,
            "banquet": {"hr@10": 0.22, "ndcg@10": 0.131},
            "popularity": {"hr@10": 0.487, "ndcg@10": 0.265},
            "markov": {"hr@10": 0.3, "ndcg@10": 0.2},
            "retrieval": None if name == "similar" else {"hr@10": 0.83, "ndcg@10": 0.647},
            "against_popularity": {"mean": -0.134, "low": -0.15, "high": -0.12},
            "against_retrieval": None,
            "worse_than_popularity": is_worse,
        }
        for name, is_worse in worse.items()
    ]
    return {
        "release": version,
        "dataset": "ml-1m",
        "how": "over gRPC",
        "users": 2_000,
        "seed": 7,
        "at": "2026-11-30T10:00:00+00:00",
        "questions": questions,
    }


def test_an_evaluation_comes_back_as_it_was_written(release):
    """The newest one; the sealed release is not touched, and a release without one has none."""
    root = release.parent
    assert evaluations.read(root, release.name) is None
    for body in (body_of(release.name, catalogue=True), body_of(release.name, catalogue=False, among=True)):
        evaluations.write(root, release.name, body)
    assert evaluations.read(root, release.name) == body
    assert evaluations.worse_than_popularity(body) == ["among"]
    assert [path.name for path in (root / "evaluations").iterdir()] == [f"{release.name}.json"]
    assert verify(release).version == release.name
    assert registry.versions(root) == [release.name]


def damaged(release):
    """Files that are no evaluation of the release, and what is wrong with them."""
    whole = body_of(release.name, catalogue=False)
    other_release, no_verdict, no_name, no_score, text_score, no_users = (deepcopy(whole) for _ in range(6))
    unproven = body_of(release.name, catalogue=True)
    unproven["questions"][0]["against_popularity"] = None
    no_users["questions"][0]["users"] = None
    other_release["release"] = "f" * 12
    del no_verdict["questions"][0]["worse_than_popularity"]
    no_name["questions"][0]["name"] = None
    del no_score["questions"][0]["banquet"]["hr@10"]
    text_score["questions"][0]["popularity"]["hr@10"] = "good"
    return {
        b"": "Expecting value",
        json.dumps(whole).encode()[:-40]: "line",
        b"[]": "list",
        b"\xff": "decode",
        json.dumps(other_release).encode(): "ffffffffffff",
        json.dumps(no_verdict).encode(): "'worse_than_popularity' is missing",
        json.dumps(no_name).encode(): "name is None",
        json.dumps(no_score).encode(): "'hr@10' is missing",
        json.dumps(text_score).encode(): "hr@10 is 'good', not float",
        json.dumps(unproven).encode(): "NoneType",
        json.dumps(no_users).encode(): "users is None, not int",
    }


def test_a_damaged_file_is_named(release, run):
    """In one line with the remedy, by every command that reads it."""
    path = release.parent / "evaluations" / f"{release.name}.json"
    path.parent.mkdir()
    for content, words in damaged(release).items():
        path.write_bytes(content)
        with pytest.raises(BadRelease, match=str(path)) as raised:
            evaluations.read(release.parent, release.name)
        assert words in str(raised.value)
        assert f"banquet evaluate --release {release.name}" in str(raised.value)
    inspected = CliRunner().invoke(app, ["release", "inspect", "--releases", str(release.parent)])
    assert inspected.exit_code == 2
    assert str(path) in inspected.output


def test_what_could_not_be_read_is_not_written(release):
    """A number that is none, another release's, half a question; an earlier one stays."""
    good = body_of(release.name, catalogue=False)
    evaluations.write(release.parent, release.name, good)
    for bad in (
        body_of(release.name, catalogue=None),
        body_of("f" * 12, catalogue=False),
        good | {"users": float("nan")},
        {"release": release.name},
    ):
        with pytest.raises(BadRelease, match="it was not written"):
            evaluations.write(release.parent, release.name, bad)
    assert evaluations.read(release.parent, release.name) == good


def test_a_release_worse_than_popularity_is_refused(run, built, release, other):
    """In one line with questions and numbers; nothing is written down. Forced, the history says what it was."""
    evaluations.write(release.parent, other.name, body_of(other.name, catalogue=False, among=True, filtered=True))
    for words in ((other.name,), (other.name, "--json")):
        said = run("promote", *words, code=2)
        assert len(said.strip().splitlines()) == 1
        assert f"release {other.name} is worse than popularity" in said
        assert "among (0.220 / 0.131, popularity 0.487 / 0.265), filtered (" in said
        assert "catalogue" not in said
        assert "--anyway" in said
    assert json.loads(run("history", "--json"))["history"][-1]["verb"] == "train"
    # To try it on a few is what a canary is for.
    run("canary", other.name)
    run("promote", code=2)
    assert json.loads(run("promote", "--anyway", "--json"))["candidate"]["mode"] == "promote"
    assert json.loads(run("history", "--json"))["history"][-1]["why"] == "anyway: worse than popularity in among, filtered"
    assert "anyway: worse than popularity" in run("history")


def test_going_back_to_a_worse_release_is_not_refused(run, built, release, other):
    """A rollback is for emergencies."""
    evaluations.write(release.parent, release.name, body_of(release.name, catalogue=True))

    def promote(root, state):
        if state.candidate is not None:
            rollout_file.change(root, "promoted", state.candidate.release, lambda state: state.promoted(), by="deployer")

    with deployer(release, promote):
        run("promote", other.name)
        assert f"Stable: {release.name}" in run("rollback")


@pytest.mark.parametrize("evaluated", [True, False])
def test_others_are_promoted(run, built, release, other, evaluated):
    """One that holds its own without a word; one that nobody evaluated with a hint, for people alone."""
    if evaluated:
        evaluations.write(release.parent, other.name, body_of(other.name, catalogue=False))
    said = run("promote", other.name)
    assert (f"`banquet evaluate --release {other.name}`" in said) is not evaluated
    json.loads(run("promote", other.name, "--json"))
    assert (
        json.loads(run("history", "--json"))["history"][-1] | {"why": ""} == json.loads(run("history", "--json"))["history"][-1]
    )
    run("rollback")
    # There is nothing to force.
    run("promote", other.name, "--anyway")
    assert json.loads(run("history", "--json"))["history"][-1]["why"] == ""


def test_segments_are_not_judged(run, built, release, other):
    """On popular items alone popularity is hard to beat; they are kept."""
    body = body_of(other.name, **{"catalogue": False, "catalogue/popular targets": True})
    evaluations.write(release.parent, other.name, body)
    assert evaluations.worse_than_popularity(body) == []
    assert evaluations.read(release.parent, other.name) == body
    run("promote", other.name)


def test_a_release_shows_its_evaluation(release):
    """A line for each question and each warning, within 80 columns; the whole of it for programs."""
    body = body_of(release.name, **{"catalogue": False, "slate": True, "slate/short": True})
    evaluations.write(release.parent, release.name, body)
    words = ["release", "inspect", "--releases", str(release.parent)]
    assert json.loads(CliRunner().invoke(app, [*words, "--json"]).output)["evaluation"] == body
    shown = CliRunner().invoke(app, words, env={"COLUMNS": "80"}).output
    [line] = [line for line in shown.splitlines() if line.startswith("the question slate")]
    for word in (".220/.131", ".487/.265", ".830/.647"):
        assert word in line
    assert "2,000 users of ml-1m" in shown
    assert "warning: worse than popularity: the question slate, NDCG@10 0.1310 against 0.2650" in " ".join(shown.split())
    assert "short" not in shown


def test_a_release_without_one_shows_none(release):
    """Null for programs, no table for people."""
    words = ["release", "inspect", "--releases", str(release.parent)]
    assert json.loads(CliRunner().invoke(app, [*words, "--json"]).output)["evaluation"] is None
    assert "Evaluation" not in CliRunner().invoke(app, words).output
