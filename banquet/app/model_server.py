"""One TorchServe, as the deployer sees it: what it has loaded, and how to load and unload a model of a release."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from banquet.app.canary import INPUTS
from banquet.core.errors import BadRelease, StageFailed
from banquet.inference.client import TorchServeClient
from banquet.releases.fitness import archive_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from banquet.inference.transport import TorchServeAddress

ANSWER_S = 5.0
# Longer than TorchServe gives a worker to start.
LOADING_S = 150.0
_NO_WORKERS = "Failed to start workers"
_LOG_BYTES = 2**18


@dataclass(frozen=True, slots=True)
class Server:
    """Where a TorchServe is. `log_file` may say why a handler could not be loaded; while `gently` is open, workers that start
    do not take the cores from others.
    """

    address: TorchServeAddress
    log_file: Path | None = None
    gently: Callable[[], AbstractContextManager[None]] = nullcontext


class ModelServer:
    """Raises `StageFailed` while TorchServe does not answer."""

    def __init__(self, server: Server, workers: int) -> None:
        self._server = server
        self._workers = workers
        self._client = TorchServeClient(server.address)

    @property
    def can_load(self) -> bool:
        return bool(self._server.address.management)

    def bound_to(self, release: str) -> TorchServeClient:
        """For jobs of that release."""
        return TorchServeClient(self._server.address, self._workers, release)

    async def close(self) -> None:
        await self._client.close()

    async def loaded(self) -> dict[str, set[str]]:
        """The models it has of each release, with a worker or without."""
        found: dict[str, set[str]] = {}
        for model in INPUTS:
            for one in await self._client.versions(model, ANSWER_S):
                found.setdefault(one.version, set()).add(model)
        return found

    async def load(self, model: str, release: str) -> None:
        """Returns when a worker is up. Raises `BadRelease` with the handler's last words when none comes up."""
        try:
            with self._server.gently():
                await self._client.register(model, archive_name(model, release), self._workers, LOADING_S)
        except StageFailed as failed:
            if _NO_WORKERS in str(failed):
                why = await asyncio.to_thread(self._last_words, model, release)
                raise BadRelease(f"the handler of {model} could not be loaded: {why or failed}") from failed
            raise

    async def unload(self, release: str) -> None:
        for model in sorted((await self.loaded()).get(release, set())):
            await self._client.unregister(model, release, ANSWER_S)

    async def make_default(self, release: str) -> None:
        for model in INPUTS:
            await self._client.make_default(model, release, ANSWER_S)

    def _last_words(self, model: str, release: str) -> str:
        """What the worker's log says last of why it could not load; empty when it does not."""
        log_file = self._server.log_file
        if log_file is None or not log_file.is_file():
            return ""
        with log_file.open("rb") as file:
            file.seek(max(0, log_file.stat().st_size - _LOG_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
        said = f"Failed to load model {model}, exception "
        return next((line.partition(said)[2] for line in reversed(lines) if said in line and f"{model}_{release}" in line), "")
