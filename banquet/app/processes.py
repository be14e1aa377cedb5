"""Child processes of `banquet up`: kept alive while it runs, gone when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
# A child that lived this long starts with the first pause again.
HEALTHY_S = 30.0
# A product of a few vectors is quicker on one thread, and BLAS's others would spin meanwhile on cores that serve: 4 ms of a core
# for each answer of a placement with MMR. Models have settings of their own.
ONE_BLAS_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def end_with_parent(parent: int) -> None:
    """Ask the kernel (Linux) for SIGTERM when the parent dies, so that kill -9 of `banquet up` leaves nothing behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)


@dataclass
class Child:
    """A Python module run as a child (`python -m module ...`), started again with a growing pause whenever it ends."""

    name: str
    arguments: Sequence[str]
    log_file: Path
    _process: asyncio.subprocess.Process | None = field(default=None, init=False)
    _keeper: asyncio.Task[None] | None = field(default=None, init=False)
    restarts: int = field(default=0, init=False)

    async def start(self) -> None:
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def stop(self, patience_s: float) -> None:
        """SIGTERM, then SIGKILL when it has not ended in time."""
        if self._keeper is not None:
            self._keeper.cancel()
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(patience_s):
                await process.wait()
        except TimeoutError:
            log.warning("%s did not end within %.1f s; killed", self.name, patience_s)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def _spawn(self) -> None:
        with self.log_file.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *self.arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=ONE_BLAS_THREAD | os.environ,
            )

    async def _keep(self) -> None:
        pause_s = FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while self._process is not None:
            began_s = loop.time()
            code = await self._process.wait()
            pause_s = FIRST_PAUSE_S if loop.time() - began_s > HEALTHY_S else min(2 * pause_s, LONGEST_PAUSE_S)
            self.restarts += 1
            log.error("%s ended with code %s; starts again in %.1f s (its log: %s)", self.name, code, pause_s, self.log_file)
            await asyncio.sleep(pause_s)
            await self._respawn()

    async def _respawn(self) -> None:
        """Tried until the machine has the memory and files for it."""
        while True:
            try:
                return await self._spawn()
            except OSError as error:
                log.error("%s cannot be started: %s; tried again in %.0f s", self.name, error, LONGEST_PAUSE_S)  # noqa: TRY400
                await asyncio.sleep(LONGEST_PAUSE_S)
