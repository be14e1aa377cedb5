"""What lies between the gateways and a TorchServe's unix socket, and misbehaves on command."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    Manner = Literal["", "slow", "garbage", "full"]

PROGRAM = Path(__file__).with_name("meddler.py")
END_S = 5.0


class Between:
    """A `Meddler` in a process of its own: callers in this one should not wait for it."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._process: subprocess.Popen[str] | None = None
        self._manner: Manner = ""

    @contextmanager
    def running(self) -> Iterator[Between]:
        command = [sys.executable, "-I", str(PROGRAM), str(self._socket)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            yield self
        finally:
            self._process.communicate(timeout=END_S)
            self._process = None

    @property
    def manner(self) -> Manner:
        """See `Meddler`."""
        return self._manner

    @manner.setter
    def manner(self, manner: Manner) -> None:
        self._manner = manner
        self._order()

    @property
    def answers(self) -> int:
        """How many answers have passed through."""
        return self._order()

    def _order(self) -> int:
        process = self._process
        assert process is not None, "it is running"
        assert process.stdin is not None, "we write to it"
        assert process.stdout is not None, "we read from it"
        process.stdin.write(f"{self._manner}\n")
        process.stdin.flush()
        return int(process.stdout.readline())
