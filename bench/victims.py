"""What is broken, and how: the processes that a `banquet up` started, and no others."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.between import Between, Manner

    Find = Callable[["Family"], list[psutil.Process]]

END_S = 5.0
LOOK_S = 0.02


class NoVictim(RuntimeError):
    """What was to be broken does not run below this `banquet up`."""


@dataclass
class Family:
    """A `banquet up`, everything it has started so far, and what lies between its gateways and TorchServe."""

    root: psutil.Process
    between: Between | None = None
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


class Fault(Protocol):
    """Something that breaks; what lasts for `lasts_s` mends by itself then, everything else is mended by Banquet."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def lasts_s(self) -> float: ...

    def victims(self, family: Family) -> list[psutil.Process]:
        """Raises `NoVictim`."""
        ...

    def begin(self, family: Family, victims: Sequence[psutil.Process]) -> None: ...

    def end(self, family: Family, victims: Sequence[psutil.Process]) -> None:
        """Nothing, for what does not last."""
        ...

    def replaced(self, family: Family, victims: Sequence[psutil.Process]) -> bool:
        """Whether as many others run now, where others are needed."""
        ...


@dataclass(frozen=True, slots=True)
class Kill:
    """Kills what it finds; `hangs` stops it instead, for good or for as long as it lasts."""

    name: str
    title: str
    find: Find
    hangs: bool = False
    lasts_s: float = 0.0

    def victims(self, family: Family) -> list[psutil.Process]:
        found = self.find(family)
        if not found:
            raise NoVictim(f"{self.title}: no such process below `banquet up`; its TorchServe must be its own")
        return found

    def begin(self, family: Family, victims: Sequence[psutil.Process]) -> None:  # noqa: ARG002 - as in Fault
        for one in victims:
            with suppress(psutil.NoSuchProcess):
                if self.hangs:
                    one.suspend()
                else:
                    one.kill()

    def end(self, family: Family, victims: Sequence[psutil.Process]) -> None:  # noqa: ARG002 - as in Fault
        if self.lasts_s:
            for one in victims:
                with suppress(psutil.NoSuchProcess):
                    one.resume()

    def replaced(self, family: Family, victims: Sequence[psutil.Process]) -> bool:
        return bool(self.lasts_s) or len(set(self.find(family)) - set(victims)) >= len(victims)


@dataclass(frozen=True, slots=True)
class Disturb:
    """Lets what lies between gateway and TorchServe misbehave."""

    name: str
    title: str
    manner: Manner
    lasts_s: float

    def victims(self, family: Family) -> list[psutil.Process]:
        if family.between is None or not family.between.answers:
            raise NoVictim(f"{self.title}: no answer has come through; the gateways reach TorchServe by another way")
        return []

    def begin(self, family: Family, victims: Sequence[psutil.Process]) -> None:  # noqa: ARG002 - as in Fault
        assert family.between is not None, "there is something between"
        family.between.manner = self.manner

    def end(self, family: Family, victims: Sequence[psutil.Process]) -> None:  # noqa: ARG002 - as in Fault
        assert family.between is not None, "there is something between"
        family.between.manner = ""

    def replaced(self, family: Family, victims: Sequence[psutil.Process]) -> bool:  # noqa: ARG002 - nobody was killed
        return True


def torchserve(family: Family) -> list[psutil.Process]:
    return family.running("org.pytorch.serve.ModelServer")


def workers(family: Family) -> list[psutil.Process]:
    return family.running("model_service_worker")


def cascade_workers(family: Family) -> list[psutil.Process]:
    """A worker runs in the folder that its model's archive was unpacked into."""
    return [one for one in workers(family) if (_folder(one) / "cascade.py").is_file()]


# Those in between first: a gateway that found TorchServe's new socket before us would pass them by.
FAULTS: tuple[Fault, ...] = (
    Disturb("answers_slow", "answers 500 ms late for 5 s", "slow", 5.0),
    Disturb("answers_garbage", "garbage for answers for 5 s", "garbage", 5.0),
    Disturb("queue_full", "TorchServe's queue full for 5 s", "full", 5.0),
    Kill("cascade_worker_killed", "kill -9 of the cascade worker", cascade_workers),
    Kill("workers_killed", "kill -9 of all model workers", workers),
    Kill("cascade_worker_hung", "cascade worker hangs", cascade_workers, hangs=True),
    Kill("torchserve_stopped", "TorchServe stopped for 10 s", torchserve, hangs=True, lasts_s=10.0),
    Kill("torchserve_killed", "kill -9 of TorchServe", torchserve),
    Kill("builder_killed", "kill -9 of the catalogue builder", lambda family: family.running("banquet.app.builder")),
    Kill("consumer_killed", "kill -9 of the event consumer", lambda family: family.running("banquet.app.consumer")),
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
