"""Releases that come and go under load, with the commands a person types; what breaks on the way is refused or undone.

Two rounds, and no bound on times: `python -m bench releases` measures ten. BANQUET_ROLLOUTS=10 makes it ten here as well.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from banquet.app.serving_file import read_deployer
from banquet.app.settings import Settings
from banquet.releases import manifest, mar, registry, rollout_file
from banquet.releases.archive import build
from banquet.wire.tensors import pack, unpack
from bench.releases import Rollouts, mixed_requests
from tests.e2e.conftest import Served, banquet, copied

ROUNDS = int(os.environ.get("BANQUET_ROLLOUTS", "2"))
RATE_PER_S = 30.0
USERS = 20
# What tells the two releases' scores apart.
SHIFT = 3.0
PATIENCE_S = 120.0
FAILS_ON_PEOPLE = b"""
from banquet.wire.tensors import unpack as _unpack
_handle = CascadeHandler.handle
def _failing(self, requests, context):
    if any(_unpack(bytes(next(iter(one.values()))))[0]["history"].shape[1] > 1 for one in requests):
        raise RuntimeError("not for people")
    return _handle(self, requests, context)
CascadeHandler.handle = _failing
"""


@pytest.fixture(scope="module")
def settings(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A workspace of its own with two releases, of which the first is stable."""
    folder = copied(made, tmp_path_factory.mktemp("rollouts") / "banquet")
    settings = Settings(workspace=folder / "var", model_store=folder / "model_store", feature_repo=folder / "feature_repo")
    stable = registry.resolve(settings.releases)
    build(shifted(stable), settings.model_store)
    assert registry.current(settings.releases) == stable.name
    return settings


def shifted(release: Path) -> Path:
    """A second release: the same, but every ranking score is higher by `SHIFT`."""
    folder = release.parent / ".shifted"
    shutil.copytree(release, folder)
    path = folder / "graphs" / "ranker.onnx"
    model = onnx.load(path)
    output = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["unshifted" if name == output else name for name in node.output]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(SHIFT), "shift"))
    model.graph.node.append(onnx.helper.make_node("Add", ["unshifted", "shift"], [output]))
    onnx.save(model, path)
    golden = folder / "golden.safetensors"
    arrays = dict(unpack(golden.read_bytes())[0])
    arrays[f"ranker/out/{output}"] = arrays[f"ranker/out/{output}"] + np.float32(SHIFT)
    golden.write_bytes(pack(arrays))
    its = manifest.load(release)
    (folder / "manifest.json").unlink()
    manifest.seal(
        folder, schema=its.schema, models=its.models, metrics=its.metrics, dataset=its.dataset, preset=its.preset, seed=its.seed
    )
    return registry.add(release.parent, folder)


@pytest.fixture
def two(settings: Settings) -> tuple[str, str]:
    """The stable release and the other one."""
    stable = registry.current(settings.releases)
    assert stable is not None
    return stable, next(version for version in registry.versions(settings.releases) if version != stable)


@pytest.fixture(scope="module")
def up(settings: Settings) -> Iterator[Served]:
    served = Served(settings.workspace.parent, flags=("--gateways", "2"), more={"BANQUET_ROLLOUT__MIN_QUERIES": "40"})
    try:
        served.start()
        yield served
    finally:
        served.stop()


def until(true: Callable[[], bool]) -> None:
    began_s = time.monotonic()
    while not true():
        assert time.monotonic() - began_s < PATIENCE_S
        time.sleep(0.05)


def settled(settings: Settings) -> bool:
    report = read_deployer(settings.run_folder)
    return report is not None and report.settled == rollout_file.read(settings.releases).revision


def step(settings: Settings) -> str:
    report = read_deployer(settings.run_folder)
    return "" if report is None else report.step


def test_releases_that_come_and_go_cost_no_caller_anything(up: Served, settings: Settings, two: tuple[str, str]) -> None:
    """Deployed, tried, promoted and rolled back under load: no failed call, and no answer of two releases."""
    rollouts = Rollouts(settings, mixed_requests(settings, USERS, 10), RATE_PER_S, 4)
    asyncio.run(rollouts.run(up.address, two, ROUNDS, quiet_s=1.0))
    assert not rollouts.rollouts.failures
    found = rollouts.mixed(rollouts.rollouts)
    assert found["mixed"] == 0
    assert all(found[f"of {release}"] > 20 for release in two)


def test_a_kill_in_the_middle_of_a_promotion_is_made_good(up: Served, settings: Settings, two: tuple[str, str]) -> None:
    """`kill -9` of everything while the release is being loaded: the next start ends as wanted."""
    stable, other = two
    assert banquet(up.folder, "release", "promote", other, "--anyway", "--wait", "0").returncode == 0
    until(lambda: "loading" in step(settings))
    assert up.process is not None
    up.process.send_signal(signal.SIGKILL)
    up.process.wait(10)
    until(lambda: not rollout_file.has_deployer(settings.releases))
    up.start()
    until(lambda: settled(settings))
    listed = json.loads(banquet(up.folder, "release", "list", "--json").stdout)["releases"]
    assert {row["version"]: row["state"] for row in listed} == {stable: "previous", other: "stable"}


def test_a_handler_that_crashes_is_refused_and_the_old_release_serves_on(
    up: Served, settings: Settings, two: tuple[str, str]
) -> None:
    """The command ends with the reason, and so does the history."""
    stable, other = two
    with altered(settings.model_store / f"retrieval-{other}.mar", lambda source: b"raise RuntimeError('no such luck')\n"):
        done = banquet(up.folder, "release", "deploy", other)
    assert done.returncode == 2
    assert "handler of retrieval could not be loaded: no such luck" in " ".join(done.stderr.split())
    last = rollout_file.history(settings.releases)[-1]
    assert (last.verb, last.release, last.by) == ("refused", other, "deployer")
    assert registry.current(settings.releases) == stable


def test_a_candidate_that_fails_people_is_rolled_back_by_itself(up: Served, settings: Settings, two: tuple[str, str]) -> None:
    """Its canaries were fine; the guardrail says what was not."""
    stable, other = two
    rollouts = Rollouts(settings, mixed_requests(settings, USERS, 10), RATE_PER_S, 4)
    with altered(settings.model_store / f"cascade-{other}.mar", lambda source: source + FAILS_ON_PEOPLE):
        assert banquet(up.folder, "release", "canary", other, "--percent", "50").returncode == 0
        phase = asyncio.run(rollouts.load_until(up.address, lambda: rollout_file.read(settings.releases).candidate is None))
        until(lambda: settled(settings))
    assert not phase.failures
    last = rollout_file.history(settings.releases)[-1]
    assert (last.verb, last.release, last.by) == ("rollback", other, "guardrail")
    assert last.why.startswith("degradation rate")
    assert registry.current(settings.releases) == stable


class altered:  # noqa: N801 - used as a function
    """While it is open, the archive's handler is another one, with checksums that fit."""

    def __init__(self, path: Path, change: Callable[[bytes], bytes]) -> None:
        self._path, self._change, self._before = path, change, path.read_bytes()

    def __enter__(self) -> None:
        archive = mar.inspect(self._path)
        with zipfile.ZipFile(self._path) as zipped:
            entries = {name: zipped.read(name) for name in archive.files}
        entries[f"{archive.model}.py"] = self._change(entries[f"{archive.model}.py"])
        mar.write(self._path, archive.model, archive.release, archive.created_at, entries)

    def __exit__(self, *_: object) -> None:
        self._path.write_bytes(self._before)
