"""The releases of a workspace and the one in force."""

from __future__ import annotations

import json
import shutil

import pytest

from banquet.core.errors import BadRelease
from banquet.releases import registry, rollout_file
from banquet.releases.rollout import Rollout
from banquet.wire.manifest_file import encode_manifest


def later(release, day):
    """A second release: the same but for its name and date."""
    body = json.loads((release / "manifest.json").read_text())
    folder = release.parent / ".copy"
    shutil.copytree(release, folder)
    (folder / "manifest.json").write_bytes(encode_manifest({**body, "dataset": f"other-{day}", "created_at": f"2099-01-0{day}"}))
    return registry.add(release.parent, folder)


def test_the_release_in_force_is_found(release):
    """Without a version the one in force is meant."""
    assert registry.resolve(release.parent) == release
    assert registry.current(release.parent) == release.name


def test_another_release_can_be_put_in_force(release):
    """Promotion changes which release is in force, and nothing else."""
    second = later(release, 1)
    assert registry.resolve(release.parent) == release
    registry.put_in_force(release.parent, second.name)
    assert registry.resolve(release.parent) == second
    assert registry.resolve(release.parent, release.name) == release


def test_releases_are_listed_in_order_of_age(release):
    """Oldest first, whatever their names; unfinished folders are none."""
    added = [later(release, day).name for day in (3, 1, 2)]
    (release.parent / "unfinished").mkdir()
    assert registry.versions(release.parent) == [release.name, added[1], added[2], added[0]]


def test_adding_a_release_again_keeps_the_one_there(release):
    """The same content trained twice is one release."""
    again = release.parent / ".again"
    shutil.copytree(release, again)
    assert registry.add(release.parent, again) == release
    assert not again.exists()


def test_an_unknown_release_is_refused_with_those_there_are(release):
    """The error lists what could have been meant."""
    with pytest.raises(BadRelease, match=f"no release '0{{12}}'; has: {release.name}"):
        registry.resolve(release.parent, "0" * 12)
    with pytest.raises(BadRelease, match="no release"):
        registry.put_in_force(release.parent, "0" * 12)
    assert registry.current(release.parent) == release.name


def test_an_empty_workspace_says_what_to_do(tmp_path):
    """Before the first training the remedy is named."""
    assert registry.versions(tmp_path) == []
    with pytest.raises(BadRelease, match="banquet train"):
        registry.resolve(tmp_path)


@pytest.mark.parametrize("content", ["../../etc", "latest"])
def test_a_damaged_pointer_is_named(release, content):
    """What is no version is never followed."""
    (release.parent / "rollout.json").write_text(json.dumps(Rollout(stable=content).to_json()))
    with pytest.raises(BadRelease, match=r"rollout\.json"):
        registry.resolve(release.parent)


def test_the_pointer_of_an_earlier_banquet_is_followed(release):
    """A workspace from before there were rollouts has its release in `current`."""
    (release.parent / "rollout.json").unlink()
    (release.parent / "current").write_text(f"{release.name}\n")
    assert registry.resolve(release.parent) == release


def test_while_releases_are_served_none_is_put_in_force(release):
    """They change by a deployment alone: what trains must not swap a release under load."""
    second = later(release, 1)
    with rollout_file.deploying(release.parent) as alone:
        assert alone
        assert not registry.put_in_force(release.parent, second.name)
        assert registry.current(release.parent) == release.name
    assert registry.put_in_force(release.parent, second.name)
