"""What is broken, and how: the processes that a `banquet up` started, and no others."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Find = Callable[["Family"], list[psutil.Process]]

END_S = 5.0
LOOK_S = 0.02


class NoVictim(RuntimeError):
    """What was to be broken does not run below this `banquet up`."""


@dataclass
class Family:
    """A `banquet up` and everything it has started so far."""

    root: psutil.Process
    seen: set[psutil.Process] = field(default_factory=set)
    outlived: list[psutil.Process] = field(default_factory=list)

    def look(self) -> list[psutil.Process]:
        """Every descendant; none once `banquet up` has ended."""
        try:
            found = self.root.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        self.seen.update(found)
        return found

    def running(self, word: str) -> list[psutil.Process]:
        """The descendants with this word in their command line."""
        return [one for one in self.look() if word in _command(one)]

    def end(self, patience_s: float = END_S) -> None:
        """Kills whoever outlives `banquet up` for so long."""
        give_up_s = time.monotonic() + patience_s
        while (left := [one for one in self.seen if alive(one)]) and time.monotonic() < give_up_s:
            time.sleep(LOOK_S)
        self.outlived = left
        for one in left:
            with suppress(psutil.NoSuchProcess):
                one.kill()


@dataclass(frozen=True, slots=True)
class Fault:
    """Kills what it finds; with `stopped_s` it stops it for so long instead."""

    name: str
    title: str
    find: Find
    stopped_s: float = 0.0

    def victims(self, family: Family) -> list[psutil.Process]:
        """Raises `NoVictim`."""
        found = self.find(family)
        if not found:
            raise NoVictim(f"{self.title}: no such process below `banquet up`; its TorchServe must be its own")
        return found

    def strike(self, victims: Sequence[psutil.Process]) -> None:
        for one in victims:
            with suppress(psutil.NoSuchProcess):
                if self.stopped_s:
                    one.suspend()
                else:
                    one.kill()

    def replaced(self, family: Family, victims: Sequence[psutil.Process]) -> bool:
        """Whether as many others run now; who was only stopped needs no other."""
        return bool(self.stopped_s) or len(set(self.find(family)) - set(victims)) >= len(victims)


def torchserve(family: Family) -> list[psutil.Process]:
    return family.running("org.pytorch.serve.ModelServer")


def workers(family: Family) -> list[psutil.Process]:
    return family.running("model_service_worker")


def cascade_workers(family: Family) -> list[psutil.Process]:
    """A worker runs in the folder that its model's archive was unpacked into."""
    return [one for one in workers(family) if (_folder(one) / "cascade.py").is_file()]


FAULTS = (
    Fault("cascade_worker_killed", "kill -9 of the cascade worker", cascade_workers),
    Fault("workers_killed", "kill -9 of all model workers", workers),
    Fault("torchserve_killed", "kill -9 of TorchServe", torchserve),
    Fault("torchserve_stopped", "TorchServe stopped for 3 s", torchserve, stopped_s=3.0),
    Fault("builder_killed", "kill -9 of the catalogue builder", lambda family: family.running("banquet.app.builder")),
    Fault("consumer_killed", "kill -9 of the event consumer", lambda family: family.running("banquet.app.consumer")),
)


def alive(process: psutil.Process) -> bool:
    """A zombie is not: it waits for its parent alone."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _command(process: psutil.Process) -> str:
    """Empty once it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def _folder(process: psutil.Process) -> Path:
    try:
        return Path(process.cwd())
    except psutil.NoSuchProcess:
        return Path("/nonexistent")
