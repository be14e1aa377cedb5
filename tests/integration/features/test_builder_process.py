"""The catalogue builder as the process that `banquet up` starts."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from banquet.features.catalogue.follower import CatalogueFollower
from tests.integration.features.world import World

ROOT = Path(__file__).parents[3]


def until(true: Callable[[], bool], patience_s: float = 30) -> float:
    began_s = time.monotonic()
    while not true():
        assert time.monotonic() - began_s < patience_s
        time.sleep(0.01)
    return time.monotonic() - began_s


def command(world: World, folder: Path) -> list[str]:
    """What `banquet up` starts, in a workspace of its own."""
    shutil.copytree(world.catalogue, folder / "workspace/catalogue")
    told = folder / "settings.json"
    told.write_text(json.dumps({"feature_repo": str(world.repo.folder), "workspace": str(folder / "workspace")}))
    return [sys.executable, "-m", "banquet.app.builder", str(told)]


def environment(world: World) -> dict[str, str]:
    return os.environ | {"FEAST_FS_YAML_FILE_PATH": str(world.repo.yaml)}


@pytest.fixture(params=["sqlite", "redis"])
def world(request: pytest.FixtureRequest) -> World:
    world: World = request.getfixturevalue(request.param)
    return world


@pytest.fixture
def builder(world: World, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command(world, tmp_path), cwd=ROOT, env=environment(world))
    yield process
    process.kill()
    process.wait()


def test_a_push_is_in_the_gateways_catalogue_within_a_second(
    world: World, builder: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """Anyone's push, followed by whoever maps the folder; the age stays small, and SIGTERM ends the process."""
    follower = CatalogueFollower(tmp_path / "workspace/catalogue")
    follower.start()
    assert follower.wait(30)

    def count() -> int:
        current = follower.current()
        assert current is not None
        return int(current.column("interaction_count").values[current.rows_of(["i2"])[0]])

    wanted = count() + 7
    world.push_item("i2", wanted)
    assert until(lambda: count() == wanted) < 1.5
    until(lambda: (current := follower.current()) is not None and current.age_s() < 1.0)
    builder.send_signal(signal.SIGTERM)
    assert builder.wait(10) == 0
    follower.stop()


def test_the_builder_ends_with_its_parent(sqlite: World, tmp_path: Path) -> None:
    """A killed supervisor leaves nobody behind."""
    code = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); sys.stdin.read()"
    parent = subprocess.Popen(
        [sys.executable, "-c", code, *command(sqlite, tmp_path / "parent")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=environment(sqlite),
    )
    assert parent.stdout is not None
    builder = int(parent.stdout.readline())
    until((tmp_path / "parent/workspace/catalogue/current.json").exists)
    parent.kill()
    parent.communicate()
    until(lambda: not _runs(builder))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Nobody may be there to take an orphan's exit status.
    return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
