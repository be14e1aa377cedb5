"""The wanted state and its history on disk."""

from __future__ import annotations

import json
import multiprocessing

import pytest

from banquet.core.errors import BadRelease
from banquet.releases import rollout_file
from banquet.releases.rollout import Rollout


def begin(root):
    return rollout_file.change(root, "train", "a", lambda state: state.put_in_force("a"))


def test_every_change_is_kept_with_its_reason(tmp_path):
    """What, to which release, why and by whom; the state is the last one."""
    begin(tmp_path)
    rollout_file.change(tmp_path, "canary", "b", lambda state: state.canary("b", 5))
    after = rollout_file.change(tmp_path, "rollback", "b", lambda state: state.rollback(), why="too slow", by="guardrail")
    assert rollout_file.read(tmp_path) == after == Rollout("a", None, "", 3)
    told = [(entry.verb, entry.release, entry.why, entry.by, entry.revision) for entry in rollout_file.history(tmp_path)]
    assert told == [
        ("train", "a", "", "person", 1),
        ("canary", "b", "", "person", 2),
        ("rollback", "b", "too slow", "guardrail", 3),
    ]


def test_a_refused_or_idle_step_leaves_no_trace(tmp_path):
    """Neither in the state nor in the history."""
    before = begin(tmp_path)
    with pytest.raises(BadRelease):
        rollout_file.change(tmp_path, "deploy", "a", lambda state: state.deploy("a"))
    assert begin(tmp_path) == before
    assert rollout_file.read(tmp_path) == before
    assert len(rollout_file.history(tmp_path)) == 1


def test_a_line_cut_short_by_a_crash_costs_itself_alone(tmp_path):
    """What comes later stands on a line of its own."""
    begin(tmp_path)
    with (tmp_path / rollout_file.HISTORY).open("a") as file:
        file.write('{"time_s": 1, "verb": "dep')
    rollout_file.change(tmp_path, "deploy", "b", lambda state: state.deploy("b"))
    assert [entry.verb for entry in rollout_file.history(tmp_path)] == ["train", "deploy"]


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps(Rollout("a").to_json() | {"format": 2})])
def test_a_damaged_state_is_named(tmp_path, content):
    """Never taken for an empty one."""
    (tmp_path / rollout_file.STATE).write_text(content)
    with pytest.raises(BadRelease, match=r"rollout\.json.*train"):
        rollout_file.read(tmp_path)


def _add(root, times):
    for _ in range(times):
        rollout_file.change(root, "canary", "b", lambda state: state.canary("b", 5))


def test_changes_of_several_processes_follow_one_another(tmp_path):
    """No revision is given twice, and no line is lost."""
    begin(tmp_path)
    processes = [multiprocessing.get_context("fork").Process(target=_add, args=(tmp_path, 10)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert rollout_file.read(tmp_path).revision == 31
    assert [entry.revision for entry in rollout_file.history(tmp_path)] == list(range(1, 32))


def test_one_deployer_at_a_time(tmp_path):
    """Others see that it lives, and get their turn when it has ended."""
    assert not rollout_file.has_deployer(tmp_path)
    with rollout_file.deploying(tmp_path) as first, rollout_file.deploying(tmp_path) as second:
        assert (first, second) == (True, False)
        assert rollout_file.has_deployer(tmp_path)
    with rollout_file.deploying(tmp_path) as third:
        assert third
    assert not rollout_file.has_deployer(tmp_path)
