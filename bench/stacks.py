"""The two things measured, each started on the same data as it would be used, and ended."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING

from banquet.inference.supervisor import LEASH
from bench.naive import torchserve
from bench.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from banquet.app.settings import Settings

    Stack = Callable[[], AbstractContextManager[str]]

START_S = 180.0
STOP_S = 30.0


class NotStarted(RuntimeError):
    """A stack ended or said nothing in time; the text has its last words."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running `banquet up`: the gateway's address and the process that started everything else."""

    address: str
    pid: int


@contextmanager
def banquet(settings: Settings, settings_file: Path | None) -> Iterator[str]:
    """`banquet up` with its settings, on a free port; gives the gateway's address once it is ready."""
    with banquet_up(settings, settings_file) as served:
        yield served.address


@contextmanager
def banquet_up(settings: Settings, settings_file: Path | None) -> Iterator[Served]:
    """As `banquet`, for whoever needs the process as well."""
    (port,) = free_ports(1)
    told = ["--settings", str(settings_file)] if settings_file else []
    command = ["-c", "from banquet.app.cli import main; main()", "up", "--port", str(port), "--metrics-port", "0", *told]
    with process("banquet", command, "Banquet is ready", settings.logs) as pid:
        yield Served(f"127.0.0.1:{port}", pid)


@contextmanager
def naive(settings: Settings, release: Path, candidates: int) -> Iterator[str]:
    """TorchServe with the naive models and as many naive servers on one port as Banquet has gateways."""
    served = settings.torchserve
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-naive-")))
        models = torchserve.running(folder, release, backend=served.backend, workers=served.workers, threads=served.threads)
        at = stack.enter_context(models)
        told = ["--feature-repo", str(settings.feature_repo), "--release", str(release), "--torchserve", at.inference]
        told += ["--keys", str(at.key_file)]
        (port,) = free_ports(1)
        command = ["-m", "bench.naive", *told, "--port", str(port), "--candidates", str(candidates)]
        for number in range(settings.gateways):
            stack.enter_context(process(f"naive-{number}", command, "ready", settings.logs))
        yield f"127.0.0.1:{port}"


@contextmanager
def process(name: str, arguments: Sequence[str], ready: str, logs: Path) -> Iterator[int]:
    """A Python child that says `ready` on standard output, by its pid; its standard error goes to `logs/bench-<name>.log`."""
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"bench-{name}.log"
    with log.open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    try:
        assert child.stdout is not None, "the child writes to a pipe"
        if not _says(child.stdout, ready):
            last = log.read_text(errors="replace").splitlines()[-5:]
            raise NotStarted(f"{name} is not ready after {START_S:.0f} s or has ended; {log} ends with:\n" + "\n".join(last))
        # The leash has become the command: one process.
        yield child.pid
    finally:
        _stop(child)


def _says(output: IO[bytes], word: str) -> bool:
    """Whether the word comes before the output ends and in time."""
    give_up_s, heard = time.monotonic() + START_S, b""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while (left_s := give_up_s - time.monotonic()) > 0:
            if selector.select(left_s):
                said = os.read(output.fileno(), 4096)
                heard += said
                if word.encode() in heard:
                    return True
                if not said:
                    return False
    return False


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    assert child.stdout is not None, "the child writes to a pipe"
    child.stdout.close()
