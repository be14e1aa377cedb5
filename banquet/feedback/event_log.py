"""A durable, append-only log of events in a folder that many processes share.

Whatever is appended while a commit is on its way to the disk goes as one write and one sync right after it, so commits grow
with the load and an idle log waits for nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from banquet.core.errors import Overloaded
from banquet.feedback.events import encode
from banquet.feedback.ports import Recorded
from banquet.feedback.segments import Segment, new_writer, seal_orphans

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from banquet.feedback.events import Event

log = logging.getLogger(__name__)

SEGMENT_BYTES = 64 << 20
SEGMENT_S = 86_400.0
MAX_WAITING = 50_000
REMEMBERED_IDS = 100_000


class _Waiting(NamedTuple):
    events: Sequence[Event]
    done: asyncio.Future[Recorded]


class FileEventLog:
    """This process's end of the log in `folder`; used from one event loop. Raises `OSError` when the folder is unusable.

    segment_bytes, segment_s: a segment that has grown larger or older is sealed at the next write. max_waiting: events that may
    wait for the disk before new ones are refused. remembered_ids: how many of the newest event ids are known as duplicates here;
    the consumer knows all.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        segment_s: float = SEGMENT_S,
        max_waiting: int = MAX_WAITING,
        remembered_ids: int = REMEMBERED_IDS,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if cut_bytes := seal_orphans(folder):
            log.warning("cut %d bytes of torn, never acknowledged records off segments in %s", cut_bytes, folder)
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._segment_s = segment_s
        self._max_waiting = max_waiting
        self._remembered_ids = remembered_ids
        self._queue: list[_Waiting] = []
        self._waiting = 0
        self._committing: asyncio.Task[None] | None = None
        self._refusing = False
        self._closed = False
        # Only the disk thread touches what follows.
        self._disk = ThreadPoolExecutor(1, "event-log")
        self._writer = new_writer()
        self._segments_begun = 0
        self._segment_begun_s = 0.0
        self._segment: Segment | None = None
        self._known: dict[str, None] = {}

    async def append(self, events: Sequence[Event]) -> Recorded:
        """Returns when the events are durable. Raises `Overloaded` when too many wait or the disk refuses."""
        if self._closed:
            raise Overloaded("the event log is closing; send the events again to another gateway")
        if self._waiting + len(events) > self._max_waiting:
            raise Overloaded(f"{self._waiting} events wait for the disk, at most {self._max_waiting} may; send these again later")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(events, loop.create_future())
        self._queue.append(waiting)
        self._waiting += len(events)
        if self._committing is None:
            self._committing = loop.create_task(self._commit_queue())
        return await waiting.done

    async def close(self) -> None:
        """Refuse new events, finish those that wait, and seal the segment."""
        if self._closed:
            return
        self._closed = True
        if self._committing is not None:
            await self._committing
        await asyncio.get_running_loop().run_in_executor(self._disk, self._end_segment)
        self._disk.shutdown()

    async def _commit_queue(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            group, self._queue = self._queue, []
            try:
                outcomes = await loop.run_in_executor(self._disk, self._commit, [waiting.events for waiting in group])
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait for the commit must learn of it
                if not self._refusing:
                    log.error("events cannot be written to %s: %s", self._folder, error)  # noqa: TRY400 - each caller is told too
                self._refusing = True
                for waiting in group:
                    if not waiting.done.done():
                        waiting.done.set_exception(self._refusal(error))
            else:
                self._refusing = False
                for waiting, outcome in zip(group, outcomes, strict=True):
                    if not waiting.done.done():
                        waiting.done.set_result(outcome)
            self._waiting -= sum(len(waiting.events) for waiting in group)
        self._committing = None

    def _refusal(self, error: Exception) -> Exception:
        if not isinstance(error, OSError):
            return error
        return Overloaded(f"events cannot be made durable in {self._folder}: {error.strerror or error}; free space there")

    def _commit(self, batches: list[Sequence[Event]]) -> list[Recorded]:
        """Write what is new among the batches, once each. Commits follow one another, so what is known is durable."""
        new: dict[str, Event] = {}
        outcomes = []
        for batch in batches:
            before = len(new)
            for event in batch:
                if event.event_id not in self._known:
                    new.setdefault(event.event_id, event)
            recorded = len(new) - before
            outcomes.append(Recorded(recorded, len(batch) - recorded))
        if new:
            self._write(b"".join(map(encode, new.values())))
            self._known.update(dict.fromkeys(new))
            for event_id in list(islice(self._known, max(0, len(self._known) - self._remembered_ids))):
                del self._known[event_id]
        return outcomes

    def _write(self, data: bytes) -> None:
        if self._segment is not None and (
            self._segment.size_bytes >= self._segment_bytes or time.monotonic() - self._segment_begun_s >= self._segment_s
        ):
            self._end_segment()
        if self._segment is None:
            self._segments_begun += 1
            self._segment_begun_s = time.monotonic()
            self._segment = Segment(self._folder, self._writer, self._segments_begun)
        try:
            self._segment.append(data)
        except OSError:
            # A failed sync may have dropped pages that a second one would call written: go on in a new file.
            self._end_segment()
            raise

    def _end_segment(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.seal()
