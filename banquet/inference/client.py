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
from banquet.inference.transport import MAX_JOB_BYTES, Keys, Locked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from numpy.typing import NDArray

    from banquet.inference.host import StackedAnswer
    from banquet.inference.transport import Scope, TorchServeAddress, Transport

    T = TypeVar("T")

READY = "READY"


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

    def __init__(self, address: TorchServeAddress, workers: int = 1) -> None:
        """`workers` is what each model is taken to have where there is no management address to ask."""
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
            answer = await self._unlocked("inference", lambda key: self._transport.predict(model, payload, key, timeout_s))
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
        """The default version of a model."""
        text = await self._unlocked("management", lambda key: self._transport.describe(model, key, timeout_s))
        try:
            body = json.loads(text)[0]
            return LoadedModel(body["modelName"], body["modelVersion"], tuple(worker["status"] for worker in body["workers"]))
        except (ValueError, KeyError, IndexError, TypeError) as error:
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
