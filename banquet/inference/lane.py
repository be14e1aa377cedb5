"""One model's queries on their way to its host: those that queue up while a call is in flight go together as the next one.

Nothing waits for company, so an idle lane adds no delay and batches grow with load.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from banquet.core.breaker import Breaker
from banquet.core.errors import StageFailed
from banquet.core.stages import ModelAnswer
from banquet.inference.failures import AGAINST_THE_MODEL, MODEL_ERROR, OVERLOADED, TIMEOUT, UNAVAILABLE
from banquet.inference.stacking import split, stack
from banquet.inference.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from banquet.core.stages import ModelJob
    from banquet.inference.host import ModelHost

log = logging.getLogger(__name__)

# A call that was given less time than this says nothing about the model's health.
FAIR_CHANCE_S = 0.02
# A canary may lie in the queue of a worker that is starting; it then comes back the moment that one is up.
CANARY_S = 2.0
# A canary that takes longer than queries wait, with an allowance for a busy machine, has told nothing good. What the most
# impatient queries wait is nobody's measure of a model.
ALLOWANCE, LEAST_PATIENCE_S = 2.0, 0.1


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """What one model may have going: queries in a call, calls at once (never more than the host has workers ready for), queries
    waiting, and padded cells per array of a call.
    """

    max_batch: int = 32
    max_in_flight: int = 8
    max_queued: int = 256
    max_cells: int = 2**17


@dataclass(eq=False, slots=True)
class _Waiting:
    """A query, until when it is worth answering (loop time), and where its answer goes."""

    job: ModelJob
    until_s: float
    answer: asyncio.Future[ModelAnswer]
    kind: object = field(init=False)
    width: int = field(init=False)

    def __post_init__(self) -> None:
        arrays = self.job.arrays
        self.kind = (self.job.catalogue, [(name, array.dtype) for name, array in arrays.items()])
        self.width = max((len(array) for array in arrays.values()), default=0)

    def fail(self, error: StageFailed) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Lane:
    """Joins the queries of one model. Raises what `core.stages.ModelClient` raises."""

    def __init__(
        self, model: str, host: ModelHost, limits: LaneLimits, canary: Callable[[], ModelJob | None] = lambda: None
    ) -> None:
        self._canary = canary
        self._model = model
        self._host = host
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Waiting] = deque()
        self._window = Window(limits.max_in_flight)
        self._in_flight = 0
        self._runners: set[asyncio.Task[None]] = set()
        self._last_good: ModelJob | None = None
        self._patience_s = LEAST_PATIENCE_S
        self._breaker = Breaker(model, self._send_canary)

    async def ask(self, job: ModelJob, timeout_s: float) -> ModelAnswer:
        self._patience_s = max(timeout_s, LEAST_PATIENCE_S)
        if self._breaker.is_open:
            raise self._shut()
        self._check_room()
        waiting = _Waiting(job, self._loop.time() + timeout_s, self._loop.create_future())
        alarm = self._loop.call_later(timeout_s, self._expire, waiting)
        self._queue.append(waiting)
        if self._in_flight < self._room():
            self._in_flight += 1
            # It starts after everyone who is about to ask in this turn of the loop has asked.
            runner = self._loop.create_task(self._run(), name=f"calls of {self._model}")
            self._runners.add(runner)
            runner.add_done_callback(self._runners.discard)
        try:
            return await waiting.answer
        finally:
            alarm.cancel()

    async def close(self) -> None:
        """End the calls in flight; whoever waits is told `unavailable`."""
        await self._breaker.close()
        for runner in self._runners:
            runner.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)
        self._refuse_all(StageFailed(UNAVAILABLE, "the gateway is shutting down"))

    def _room(self) -> int:
        return self._window.room(self._host.capacity(self._model))

    def _shut(self) -> StageFailed:
        return StageFailed(UNAVAILABLE, f"{self._model} kept failing; a canary is out to see when it is back")

    def _refuse_all(self, error: StageFailed) -> None:
        while self._queue:
            self._queue.popleft().fail(error)

    def _expire(self, waiting: _Waiting) -> None:
        waiting.fail(StageFailed(TIMEOUT, f"{self._model} did not answer in time"))

    def _check_room(self) -> None:
        if len(self._queue) < self._limits.max_queued:
            return
        self._queue = deque(waiting for waiting in self._queue if not waiting.answer.done())
        if len(self._queue) >= self._limits.max_queued:
            raise StageFailed(OVERLOADED, f"{len(self._queue)} queries wait for {self._model}")

    async def _run(self) -> None:
        try:
            # One of several runners ends when the window has become narrower.
            while self._in_flight <= self._room() and (batch := self._take()):
                await self._send(batch)
        finally:
            # In the same step as the look into the empty queue, or the next query would count on a runner that is gone.
            self._in_flight -= 1

    def _take(self) -> list[_Waiting]:
        """The oldest query and those like it that fit into one call; what expired or was cancelled is dropped here."""
        batch: list[_Waiting] = []
        others: list[_Waiting] = []
        width = 0
        now_s = self._loop.time()
        while self._queue and len(batch) < self._limits.max_batch:
            waiting = self._queue.popleft()
            if waiting.until_s <= now_s:
                # Its alarm is late, as after something has held up the loop.
                self._expire(waiting)
            if waiting.answer.done():
                continue
            if batch and waiting.kind != batch[0].kind:
                # As with filters and without: they keep their places, and neither makes the other's calls smaller.
                others.append(waiting)
                continue
            width = max(width, waiting.width)
            if batch and width * (len(batch) + 1) > self._limits.max_cells:
                others.append(waiting)
                break
            batch.append(waiting)
        self._queue.extendleft(reversed(others))
        return batch

    async def _send(self, batch: list[_Waiting]) -> None:
        """One call for all; it may take as long as the most patient of them waits."""
        queries = [waiting.job.arrays for waiting in batch]
        began_s = self._loop.time()
        timeout_s = max(waiting.until_s for waiting in batch) - began_s
        try:
            answer = await self._host.run(self._model, batch[0].job.catalogue, stack(queries), timeout_s)
            shares = split(answer.arrays, queries)
        except StageFailed as error:
            self._note(error, began_s)
            for waiting in batch:
                waiting.fail(error)
        except Exception as error:
            # Whatever it was, nobody may be left waiting for it.
            log.exception("the answer of %s cannot be used", self._model)
            failed = StageFailed(MODEL_ERROR, str(error))
            self._note(failed, began_s)
            for waiting in batch:
                waiting.fail(failed)
        else:
            self._breaker.succeeded()
            self._window.went_well()
            self._last_good = batch[0].job
            for waiting, share in zip(batch, shares, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(ModelAnswer(share, answer.run))
        finally:
            for waiting in batch:
                waiting.fail(StageFailed(UNAVAILABLE, "the gateway is shutting down"))

    def _note(self, error: StageFailed, began_s: float) -> None:
        """What a failed call says about the model; a stale catalogue, say, is the answer of a model that works."""
        if error.reason == TIMEOUT and self._loop.time() - began_s < FAIR_CHANCE_S:
            return
        if error.reason in {UNAVAILABLE, TIMEOUT, OVERLOADED}:
            self._window.went_wrong(self._host.capacity(self._model))
        if error.reason in AGAINST_THE_MODEL:
            self._breaker.failed(certain=error.reason == UNAVAILABLE)
        elif error.reason != OVERLOADED:
            self._breaker.succeeded()
        if self._breaker.is_open:
            self._refuse_all(self._shut())

    async def _send_canary(self) -> None:
        """The last job that went well once more: one that never did may be what brings the worker down.

        It must come back as soon as queries want their answers. One that waited for a worker to start was late for a good reason:
        the next one, sent at once, decides.
        """
        job = self._last_good or self._canary()
        if job is None:
            return
        patience_s = ALLOWANCE * self._patience_s
        for timeout_s in (CANARY_S, patience_s):
            began_s = self._loop.time()
            try:
                await self._host.run(self._model, job.catalogue, stack([job.arrays]), timeout_s)
            except StageFailed as error:
                if error.reason in AGAINST_THE_MODEL:
                    raise
            if self._loop.time() - began_s <= patience_s:
                return
        raise StageFailed(TIMEOUT, f"the canary of {self._model} took longer than queries wait")
