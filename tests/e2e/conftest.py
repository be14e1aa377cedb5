"""The whole of Banquet on small synthetic data: made, trained, packed, materialized and served by the commands a user types."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from banquet_client import BanquetClient, ClientError

from banquet.inference.places import socket_folder
from bench.between import Between
from tests.environment_proxy import EnvironmentProxy

PROJECT = Path(__file__).parents[2]
MAKING = [
    ["data", "synthetic", "--users", "200", "--items", "150", "--events", "6000"],
    ["train", "--preset", "quick", "--threads", "1"],
    ["release", "build"],
]


def banquet(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "banquet.app.cli", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def environment() -> dict[str, str]:
    """That of a company whose proxies are down: nothing on this machine needs them."""
    own = {"PYTHONPATH": f"{PROJECT}:{PROJECT / 'clients/python'}", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return os.environ | own | EnvironmentProxy(port=9).environment | {"BANQUET_SERVED__FLUSH_S": "0.5"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_pair() -> int:
    """A port that is free, as is the next one: each gateway has metrics of its own."""
    while True:
        port = free_port()
        with socket.socket() as next_one:
            try:
                next_one.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


@dataclass
class Served:
    """A running `banquet up`."""

    folder: Path
    port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_pair)
    flags: tuple[str, ...] = ()
    more: Mapping[str, str] = field(default_factory=dict)
    between: Between | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        flags = ["--port", str(self.port), "--metrics-port", str(self.metrics_port), *self.flags]
        with (self.folder / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "banquet.app.cli", "up", *flags],
                cwd=self.folder,
                env={**environment(), **self.more},
                stdout=log,
                stderr=log,
            )
        self.wait_until_ready()

    def wait_until_ready(self, patience_s: float = 90.0) -> float:
        """Seconds until the status says ready."""
        began_s = time.monotonic()
        with BanquetClient(self.address) as client:
            while time.monotonic() - began_s < patience_s:
                assert self.process is not None
                assert self.process.poll() is None, (self.folder / "up.log").read_text()[-4000:]
                try:
                    if client.status(timeout_s=1.0).ready:
                        return time.monotonic() - began_s
                except ClientError:
                    pass
                time.sleep(0.2)
        raise AssertionError(f"not ready within {patience_s} s:\n{(self.folder / 'up.log').read_text()[-4000:]}")

    def descendants(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def find(self, *words: str) -> list[psutil.Process]:
        """The descendants whose command lines have all the words; at least one."""
        found = [one for one in self.descendants() if all(word in " ".join(one.cmdline()) for word in words)]
        assert found, [one.cmdline() for one in self.descendants()]
        return found

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        children = self.descendants()
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            for child in children:
                if child.is_running():
                    child.kill()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and a release, whose features are not prepared: it is never served, `copied` folders are."""
    folder = tmp_path_factory.mktemp("banquet")
    shutil.copytree(PROJECT / "feature_repo", folder / "feature_repo", ignore=shutil.ignore_patterns("data", "__pycache__"))
    for arguments in MAKING:
        succeed(folder, *arguments)
    return folder


def copied(made: Path, folder: Path) -> Path:
    """A copy to serve, with features of its own: a copied registry names tables of the original, which `feast apply` drops."""
    shutil.copytree(made, folder)
    succeed(folder, "features", "prepare")
    return folder


def succeed(folder: Path, *arguments: str) -> None:
    """Run the command line in a folder, and show all it said when it fails."""
    done = banquet(folder, *arguments)
    assert done.returncode == 0, f"banquet {' '.join(arguments)}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@pytest.fixture(scope="session")
def served(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """What was made, served by two gateways; tests that break it mend it again."""
    folder = copied(made, tmp_path_factory.mktemp("served") / "banquet")
    sockets = socket_folder((folder / "var/torchserve").absolute() / "sockets")
    with Between(sockets / "inference").running() as between:
        up = Served(folder, flags=("--gateways", "2"), between=between)
        try:
            up.start()
            yield up
        finally:
            up.stop()


@pytest.fixture
def client(served: Served) -> Iterator[BanquetClient]:
    with BanquetClient(served.address, timeout_s=2.0) as client:
        yield client
