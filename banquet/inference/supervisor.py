"""Our own TorchServe as a child process: started, started again when it dies, and gone without a trace when it ends."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import shutil
import signal
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from banquet.core.errors import BadSettings
from banquet.inference.configuration import GENTLY_MARKER, install, name_archives

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from banquet.inference.configuration import TorchServeSettings

log = logging.getLogger(__name__)

LEASH = Path(__file__).with_name("leash.py")
DRAIN_S = 10.0
LISTENING_WITHIN_S = 60.0
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 10.0
# After so long a life the next restart is immediate again.
HEALTHY_S = 30.0
_LAST_WORDS = 2000


class TorchServe:
    """Keeps one TorchServe running in a folder of its own. Start and stop it from the main thread's event loop.

    Addresses stay the same over restarts. A worker that dies is TorchServe's to restart; this class restarts TorchServe itself.
    """

    def __init__(self, settings: TorchServeSettings) -> None:
        """Writes the configuration. Raises `BadSettings` naming what does not hold together."""
        self._lock = _sole_user(settings.run_folder)
        try:
            self._installed = install(settings)
        except BadSettings:
            self._lock.close()
            raise
        self.address = self._installed.address
        self.grpc_address = self._installed.grpc_address
        self.metrics_url = self._installed.metrics_url
        self.log_file = self._installed.log_file
        self.restarts = 0
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Returns when TorchServe listens; its models may still be loading. Raises `BadSettings` with its last words if not."""
        process = await self._spawn()
        try:
            async with asyncio.timeout(LISTENING_WITHIN_S):
                await self._listening(process)
        except TimeoutError as error:
            await self.stop(drain_s=0)
            raise BadSettings(f"TorchServe did not listen within {LISTENING_WITHIN_S:.0f} s: {self._last_words()}") from error
        except BaseException:
            await self.stop(drain_s=0)
            raise
        self._keeper = asyncio.create_task(self._keep(process), name="keep TorchServe")

    def load_at_start(self, archives: Mapping[str, str]) -> None:
        """What the next start loads: archives by model, of the model store. What is loaded now stays."""
        name_archives(self._installed, archives)

    @contextmanager
    def gently(self) -> Iterator[None]:
        """Workers that start meanwhile leave the cores to those who serve."""
        marker = self._installed.folder / GENTLY_MARKER
        marker.touch()
        try:
            yield
        finally:
            marker.unlink(missing_ok=True)

    async def stop(self, drain_s: float = DRAIN_S) -> None:
        """SIGTERM, and after `drain_s` SIGKILL for TorchServe and all its workers.

        It finishes gRPC calls in flight, but cuts off those over unix sockets (0.12.0): gateways should end first.
        """
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._process is not None:
            await _end(self._process, drain_s)
        self._tidy()
        self._lock.close()

    async def _keep(self, process: asyncio.subprocess.Process) -> None:
        """Start it again whenever it ends; the pauses grow while it does not live long."""
        pause_s = 0.0
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            code = await process.wait()
            _kill_group(process)
            pause_s = 0.0 if loop.time() - began_s > HEALTHY_S else min(max(2 * pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
            log.error(
                "TorchServe ended with code %s; starts again in %.2f s (its log: %s)", code, pause_s, self._installed.log_file
            )
            await asyncio.sleep(pause_s)
            process = await self._respawned()
            self.restarts += 1

    async def _respawned(self) -> asyncio.subprocess.Process:
        """Tried until the machine has the memory and files for it."""
        while True:
            try:
                return await self._spawn()
            except OSError as error:
                log.error("TorchServe cannot be started: %s; tried again in %.0f s", error, LONGEST_PAUSE_S)  # noqa: TRY400
                await asyncio.sleep(LONGEST_PAUSE_S)

    async def _spawn(self) -> asyncio.subprocess.Process:
        installed = self._installed
        self._tidy()
        # Left by one that was killed in the middle; nobody serves yet.
        (installed.folder / GENTLY_MARKER).unlink(missing_ok=True)
        with (installed.folder / "console.log").open("ab") as console:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(LEASH), str(os.getpid())),
                *installed.command,
                cwd=installed.folder,
                env=dict(installed.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                # A group of its own: Ctrl-C is ours to handle, and orphaned workers can be found.
                start_new_session=True,
            )
        return self._process

    async def _listening(self, process: asyncio.subprocess.Process) -> None:
        while not await _accepts(self.address.inference.removeprefix("unix:")):
            if process.returncode is not None:
                raise BadSettings(f"TorchServe ended with code {process.returncode}: {self._last_words()}")
            await asyncio.sleep(0.05)

    def _tidy(self) -> None:
        """Remove what a TorchServe that was killed had unpacked and could not remove."""
        for path in self._installed.sockets.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _last_words(self) -> str:
        said = (self._installed.folder / "console.log").read_text(errors="replace")
        return said[-_LAST_WORDS:].strip() or "it said nothing"


def _sole_user(run_folder: Path) -> IO[bytes]:
    """Holds the folder until it is closed, or this process ends."""
    run_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = (run_folder / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise BadSettings(f"{run_folder}: another TorchServe runs in this folder; stop it or use another one") from error
    return lock


async def _accepts(path: str) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True


async def _end(process: asyncio.subprocess.Process, drain_s: float) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(drain_s):
            await process.wait()
    except TimeoutError:
        if drain_s:
            log.warning("TorchServe did not end within %.1f s; killed", drain_s)
    _kill_group(process)
    await process.wait()


def _kill_group(process: asyncio.subprocess.Process) -> None:
    """Kill whatever TorchServe left behind: a worker in the middle of a call does not notice at once that nobody listens."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
