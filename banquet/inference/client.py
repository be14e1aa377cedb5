"""TorchServe as a host of models: packs a job, sends it, reads the answer or what went wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from banquet.core.errors import StageFailed
from banquet.inference.failures import MODEL_ERROR, OVERLOADED, UNAVAILABLE, NotDone, is_refusal
from banquet.inference.grpc_transport import GrpcTransport
from banquet.inference.http_transport import HttpTransport
from banquet.inference.payload import pack_job, read_answer
from banquet.inference.roster import Roster
from banquet.inference.transport import ALL, MAX_JOB_BYTES, Keys, Locked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from numpy.typing import NDArray

    from banquet.inference.host import StackedAnswer
    from banquet.inference.transport import Scope, TorchServeAddress, Transport

    T = TypeVar("T")

READY = "READY"
# How TorchServe says that it has no version of a model.
_UNKNOWN = ("Model not found", "ModelNotFound")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model as TorchServe has it: its version (the release) and the status of each worker."""

    name: str
    version: str
    workers: tuple[str, ...]

    @property
    def ready(self) -> bool:
        return READY in self.workers


class TorchServeClient:
    """Speaks to one TorchServe. Every failure becomes a `StageFailed` with a reason of `core.stages.ModelClient`."""

    def __init__(self, address: TorchServeAddress, workers: int = 1, version: str = "") -> None:
        """`workers` is what each model is taken to have where there is no management address to ask.

        Jobs go to one `version` of the models, by default to whichever TorchServe takes for the default.
        """
        self._version = version
        self._transport: Transport = HttpTransport(address) if address.is_local_socket else GrpcTransport(address)
        self._keys = Keys(address.key_file)
        self._workers = workers
        self._can_describe = bool(address.management)
        self._roster = Roster(self._count_ready)

    async def run(self, model: str, catalogue: str, arrays: Mapping[str, NDArray[Any]], timeout_s: float) -> StackedAnswer:
        payload = pack_job(catalogue, arrays)
        if len(payload) > MAX_JOB_BYTES:
            raise StageFailed(MODEL_ERROR, f"a job of {len(payload)} bytes for {model}; {MAX_JOB_BYTES} go")
        try:
            answer = await self._unlocked(
                "inference", lambda key: self._transport.predict(model, self._version, payload, key, timeout_s)
            )
        except StageFailed as error:
            # With a worker there, it can only be the queue that is full.
            if is_refusal(str(error)) and self._can_describe and self._roster.ready(model):
                raise NotDone(OVERLOADED, str(error)) from error
            raise
        return read_answer(model, answer)

    def capacity(self, model: str) -> int:
        return max(1, self._roster.ready(model)) if self._can_describe else self._workers

    async def check(self, model: str, timeout_s: float) -> None:
        if self._can_describe:
            loaded = await self.describe(model, timeout_s)
            if not loaded.ready:
                workers = ", ".join(loaded.workers) or "none"
                raise StageFailed(UNAVAILABLE, f"{model} {loaded.version} is not ready; its workers: {workers}")

    async def describe(self, model: str, timeout_s: float) -> LoadedModel:
        """The version of a model that jobs go to."""
        found = await self._described(model, self._version, timeout_s)
        if not found:
            raise StageFailed(UNAVAILABLE, f"TorchServe has no {model}")
        return found[0]

    async def versions(self, model: str, timeout_s: float) -> list[LoadedModel]:
        """Every version of a model that is loaded; none of one that TorchServe does not know."""
        try:
            return await self._described(model, ALL, timeout_s)
        except StageFailed as failed:
            if any(fragment in str(failed) for fragment in _UNKNOWN):
                return []
            raise

    async def register(self, model: str, archive: str, workers: int, timeout_s: float) -> None:
        """Load an archive of TorchServe's model store beside what is loaded; returns when its workers are up."""
        await self._unlocked("management", lambda key: self._transport.register(model, archive, workers, key, timeout_s))

    async def unregister(self, model: str, version: str, timeout_s: float) -> None:
        """Unload a version that is not the default; what its workers are at is lost."""
        await self._unlocked("management", lambda key: self._transport.unregister(model, version, key, timeout_s))

    async def make_default(self, model: str, version: str, timeout_s: float) -> None:
        """The version that answers callers who name none."""
        await self._unlocked("management", lambda key: self._transport.make_default(model, version, key, timeout_s))

    async def _described(self, model: str, version: str, timeout_s: float) -> list[LoadedModel]:
        text = await self._unlocked("management", lambda key: self._transport.describe(model, version, key, timeout_s))
        try:
            return [
                LoadedModel(body["modelName"], body["modelVersion"], tuple(worker["status"] for worker in body["workers"]))
                for body in json.loads(text)
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise StageFailed(MODEL_ERROR, f"TorchServe describes {model} as {text[:200]!r}") from error

    async def close(self) -> None:
        await self._roster.close()
        await self._transport.close()

    async def _count_ready(self, model: str, timeout_s: float) -> int:
        return (await self.describe(model, timeout_s)).workers.count(READY)

    async def _unlocked(self, scope: Scope, call: Callable[[str], Awaitable[T]]) -> T:
        """The call with the key in force; a restarted TorchServe has new ones."""
        key = self._keys[scope]
        try:
            return await call(key)
        except Locked as error:
            self._keys.reread()
            if self._keys[scope] == key:
                raise StageFailed(UNAVAILABLE, f"TorchServe does not accept the key in the key file {self._keys.file}") from error
            return await call(self._keys[scope])
