"""The catalogue builder as the process that `banquet up` starts."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from banquet.features.follower import CatalogueFollower
from tests.integration.features.world import World


def until(true: Callable[[], bool], patience_s: float = 30) -> float:
    began_s = time.monotonic()
    while not true():
        assert time.monotonic() - began_s < patience_s
        time.sleep(0.01)
    return time.monotonic() - began_s


def start(world: World) -> subprocess.Popen[bytes]:
    places = ["--repo", str(world.repo.folder), "--yaml", str(world.repo.yaml), "--catalogue", str(world.catalogue)]
    return subprocess.Popen([sys.executable, "-m", "banquet.features.builder", *places], cwd=Path(__file__).parents[3])


@pytest.fixture(params=["sqlite", "redis"])
def world(request: pytest.FixtureRequest) -> World:
    world: World = request.getfixturevalue(request.param)
    return world


@pytest.fixture
def builder(world: World) -> Iterator[subprocess.Popen[bytes]]:
    process = start(world)
    yield process
    process.kill()
    process.wait()


def test_a_push_is_in_the_gateways_catalogue_within_a_second(world: World, builder: subprocess.Popen[bytes]) -> None:
    """Anyone's push, followed by whoever maps the folder; the age stays small, and SIGTERM ends the process."""
    follower = CatalogueFollower(world.catalogue)
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


def test_the_builder_ends_with_its_parent(sqlite: World) -> None:
    """A killed supervisor leaves nobody behind."""
    code = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); sys.stdin.read()"
    command = [
        sys.executable,
        "-m",
        "banquet.features.builder",
        "--repo",
        str(sqlite.repo.folder),
        "--catalogue",
        str(sqlite.catalogue),
    ]
    parent = subprocess.Popen(
        [sys.executable, "-c", code, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert parent.stdout is not None
    builder = int(parent.stdout.readline())
    until((sqlite.catalogue / "current.json").exists)
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
