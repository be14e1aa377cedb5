"""Loads releases beside what serves, into every TorchServe there is, and takes them out again."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from banquet.app.canary import INPUTS, PATIENCE_S, canaries_of
from banquet.app.model_server import ModelServer, Server
from banquet.core.errors import BadRelease, StageFailed
from banquet.inference.stacking import stack
from banquet.releases import registry
from banquet.releases.fitness import check_files, check_schema
from banquet.wire.catalogue_file import BadCatalogue, read_catalogue, read_pointer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from banquet.core.stages import ModelJob

log = logging.getLogger(__name__)

# A worker that has just started encodes the catalogue first.
PROOF_S = 120.0
ASK_AGAIN_S = 0.2
PASSING = ("stale_catalogue", "timeout", "unavailable", "overloaded")


@dataclass(frozen=True, slots=True)
class Places:
    """Where releases, archives and the catalogue are."""

    releases: Path
    model_store: Path
    catalogue: Path


class Loader:
    """One model after the other and one TorchServe after the other, so that loading has a core at most.

    Raises `StageFailed` while one of them does not answer.
    """

    def __init__(self, servers: Sequence[Server], places: Places, workers: int) -> None:
        self._servers = [ModelServer(server, workers) for server in servers]
        self._places = places
        # Releases whose models have all answered a canary, since they were loaded.
        self._proven: set[str] = set()

    @property
    def can_load(self) -> bool:
        return all(server.can_load for server in self._servers)

    async def close(self) -> None:
        for server in self._servers:
            await server.close()

    async def loaded(self) -> dict[str, set[str]]:
        """Every release that a TorchServe has something of, and which of its models all of them have."""
        each = [await server.loaded() for server in self._servers]
        releases = {release for loaded in each for release in loaded}
        found = {release: set.intersection(*(loaded.get(release, set()) for loaded in each)) for release in releases}
        self._proven &= {release for release, models in found.items() if models == set(INPUTS)}
        return found

    def is_proven(self, release: str) -> bool:
        return release in self._proven

    async def load(self, release: str, say: Callable[[str], None]) -> None:
        """Check, load, and see every model answer. Raises `BadRelease` saying why the release cannot be served."""
        folder = registry.resolve(self._places.releases, release)
        say("checking every byte of the release and its archives")
        await asyncio.to_thread(check_files, folder, self._places.model_store)
        await asyncio.to_thread(self._check_schema, folder)
        jobs = await asyncio.to_thread(canaries_of, folder)
        for server in self._servers:
            loaded = (await server.loaded()).get(release, set())
            for model in INPUTS:
                if model not in loaded:
                    say(f"loading {model}")
                    await server.load(model, release)
                await self._prove(server, model, release, jobs)
        self._proven.add(release)

    async def unload(self, release: str) -> None:
        self._proven.discard(release)
        for server in self._servers:
            await server.unload(release)

    async def make_default(self, release: str) -> None:
        """For callers of TorchServe who name no version, and because the default version cannot be unloaded."""
        for server in self._servers:
            await server.make_default(release)

    def _check_schema(self, folder: Path) -> None:
        """Against the catalogue in force."""
        version = self._in_force()
        try:
            check_schema(folder, read_catalogue(self._places.catalogue, version).columns, version)
        except BadCatalogue as error:
            raise StageFailed("no_catalogue", str(error)) from error

    def _in_force(self) -> str:
        try:
            pointer = read_pointer(self._places.catalogue)
        except BadCatalogue as error:
            raise StageFailed("no_catalogue", str(error)) from error
        if pointer is None:
            raise StageFailed("no_catalogue", f"waiting for a catalogue in {self._places.catalogue}")
        return pointer.version

    async def _prove(self, server: ModelServer, model: str, release: str, jobs: Callable[[str, str], ModelJob]) -> None:
        """A worker that still encodes the catalogue, or waits for a newer one, is asked again."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + PROOF_S
        client = server.bound_to(release)
        try:
            while True:
                # The catalogue may have moved on meanwhile.
                job = jobs(model, await asyncio.to_thread(self._in_force))
                try:
                    answer = await client.run(model, job.catalogue, stack([job.arrays]), PATIENCE_S)
                    break
                except StageFailed as failed:
                    if failed.reason not in PASSING or loop.time() > until_s:
                        raise BadRelease(f"{model} failed its canary: {failed}") from failed
                if model not in (await server.loaded()).get(release, set()):
                    raise StageFailed("unavailable", f"TorchServe has lost {model} of release {release}")
                await asyncio.sleep(ASK_AGAIN_S)
        finally:
            await client.close()
        if answer.run.release != release:
            raise BadRelease(f"{model} answered as release {answer.run.release!r}, not {release}; build its archive again")
        log.info("%s of release %s answers, on %s", model, release, answer.run.backend)
