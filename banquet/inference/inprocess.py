"""The handlers of a release in this very process: for one machine without a second hop, and for tests.

No TorchServe and no JVM. What it costs: a job that hangs holds its thread for ever, what crashes takes the gateway along, every
gateway process holds the models itself, and Python's lock is shared with the event loop between the calls into Torch and ONNX
Runtime, which give it up.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from banquet.core.errors import StageFailed
from banquet.inference.failures import MODEL_ERROR, OVERLOADED, TIMEOUT, UNAVAILABLE, NotDone
from banquet.inference.payload import pack_job, read_answer
from handlers.cascade import CascadeHandler
from handlers.ranking import RankingHandler
from handlers.retrieval import RetrievalHandler
from handlers.served import ServedRelease
from handlers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from banquet.inference.host import StackedAnswer

log = logging.getLogger(__name__)

GRAPHS = ("item_encoder", "history_encoder", "ranker_items", "ranker")
# As TorchServe's own queue is set: a lane never comes near it.
MOST_WAITING = 64


class Handler(Protocol):
    """What TorchServe calls; so do we, with a worker that is there already."""

    inputs: tuple[str, ...]

    def work(self, worker: Worker) -> None: ...

    def handle(self, requests: list[Mapping[str, object]], context: Any, /) -> list[bytes]: ...


HANDLERS: Mapping[str, type[Handler]] = {"retrieval": RetrievalHandler, "ranking": RankingHandler, "cascade": CascadeHandler}


class InProcess:
    """A `ModelHost` that runs jobs in threads of this process. All models share one copy of the tables beside them."""

    def __init__(
        self, release: Path, catalogue_folder: Path, *, backend: str = "auto", threads: int = 1, workers: int = 1
    ) -> None:
        """Loads in the background; until then every job is `unavailable`. `threads` are those of one job."""
        self._workers = workers
        self._jobs = 0
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="models")
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="models-loader")
        load = partial(ServedRelease, release, GRAPHS, catalogue_folder, backend=backend, threads=threads)
        self._served: Future[ServedRelease] = self._loader.submit(load)
        self._served.add_done_callback(_tell_of_failure)
        self._handlers: dict[str, Handler] = {}

    async def run(self, model: str, catalogue: str, arrays: Mapping[str, NDArray[Any]], timeout_s: float) -> StackedAnswer:
        handler = self._handler(model)
        if self._jobs >= self._workers + MOST_WAITING:
            raise NotDone(OVERLOADED, f"{self._jobs} jobs wait for {self._workers} threads")
        request = {"job": pack_job(catalogue, arrays)}
        job = self._pool.submit(handler.handle, [request], None)
        with self._lock:
            self._jobs += 1
        job.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(timeout_s):
                # Whoever stops waiting takes a job that was not begun out of the queue.
                (answer,) = await asyncio.wrap_future(job)
        except TimeoutError as error:
            raise StageFailed(TIMEOUT, f"no answer within {timeout_s * 1e3:.0f} ms") from error
        except Exception as error:
            log.exception("%s failed", model)
            raise StageFailed(MODEL_ERROR, f"{model}: {error!r}") from error
        return read_answer(model, answer)

    def capacity(self, model: str) -> int:  # noqa: ARG002 - all models share the threads
        return self._workers

    async def check(self, model: str, timeout_s: float) -> None:  # noqa: ARG002 - it is known at once
        self._handler(model)

    async def loaded(self) -> None:
        """Wait until the release is there. Raises what keeps it from being loaded, such as `BadManifest`."""
        await asyncio.shield(asyncio.wrap_future(self._served))

    async def close(self) -> None:
        """Jobs that were begun go on to their end, for nobody."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._loader.shutdown(wait=False, cancel_futures=True)
        # In a thread: it waits for the catalogues' follower, here or when the loading has come to its end.
        await asyncio.to_thread(self._served.add_done_callback, _stop)

    def _ended(self, _job: Future[list[bytes]]) -> None:
        with self._lock:
            self._jobs -= 1

    def _handler(self, model: str) -> Handler:
        """Raises `NotDone` while the release is being loaded, for good when it cannot be, and for a model that nobody knows."""
        handler = self._handlers.get(model)
        if handler is not None:
            return handler
        if model not in HANDLERS:
            raise NotDone(UNAVAILABLE, f"no model {model!r}; there are {', '.join(HANDLERS)}")
        if not self._served.done():
            raise NotDone(UNAVAILABLE, f"{model} is being loaded")
        try:
            served = self._served.result()
        except Exception as error:
            raise NotDone(UNAVAILABLE, f"{model} cannot be loaded: {error}") from error
        made = HANDLERS[model]()
        made.work(Worker(served, made.inputs))
        self._handlers[model] = made
        return made


def _stop(served: Future[ServedRelease]) -> None:
    if not served.cancelled() and served.exception() is None:
        served.result().catalogues.stop()


def _tell_of_failure(served: Future[ServedRelease]) -> None:
    if not served.cancelled() and (error := served.exception()) is not None:
        log.error("the models cannot be loaded", exc_info=error)
