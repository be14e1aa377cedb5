"""The served log: exactly what the models saw and what became of it, for training and for looking into an answer."""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections import deque
from itertools import groupby
from typing import TYPE_CHECKING

import pyarrow as pa
from prometheus_client import Counter

from banquet.core.evaluation_users import is_evaluation_user
from banquet.stages.sinks.served_files import Shelf, hour_of, mark_of
from banquet.stages.sinks.served_rows import Taken, is_whole, keep_pandas_out, rows_of, types_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from banquet.core.stages import Answer

log = logging.getLogger(__name__)

MAX_WAITING = 4_096
# Some milliseconds of a core: requests that meet them must not be late.
ROW_GROUP = 64
FLUSH_ANSWERS = 1_024
FLUSH_S = 30.0
SWEEP_S = 60.0
POLL_S = 0.5
# Between row groups the thread rests, so that requests get core and interpreter: so many times as long as the last one took,
# and only for a moment once many wait.
REST = 2.0
BREATH_S = 0.002
_HASHES = 1 << 32

WRITTEN = Counter("banquet_served_log_answers_total", "Answers written to the served log.")
WRITTEN_BYTES = Counter("banquet_served_log_bytes_total", "Size of the served log's files when they were written.")
DROPPED = Counter("banquet_served_log_dropped_total", "Answers missing in the served log.", ["reason"])


class ServedLog:
    """Writes answers as parquet to `folder/<UTC hour>/`, from a thread of its own, every `flush_s` or when many wait.

    Taking an answer costs one append: when `max_waiting` wait already, or the disk refuses, the answer is missing in the log and
    counted in `dropped`. `sample_rate` is the share of requests that are written, chosen by their ids. `retention_hours` and
    `max_mb` bound what is kept of all processes together. `name_user` gives the name under which a user is written. Answers to
    evaluation users are not taken.
    """

    name = "served_log"

    def __init__(
        self,
        folder: Path,
        *,
        sample_rate: float = 1.0,
        retention_hours: float = 168.0,
        max_mb: int = 2048,
        max_waiting: int = MAX_WAITING,
        flush_s: float = FLUSH_S,
        name_user: Callable[[str], str] = str,
    ) -> None:
        keep_pandas_out()
        self._shelf = Shelf(folder, retention_hours=retention_hours, max_bytes=max_mb << 20)
        self._sampled_below = round(sample_rate * _HASHES)
        self._max_waiting = max_waiting
        self._flush_s = flush_s
        self._name_user = name_user
        self._waiting: deque[Taken] = deque()
        self._types: dict[str, pa.DataType] = {}
        self._closing = threading.Event()
        self.dropped = 0
        self._thread = threading.Thread(target=self._write_all, name="served-log", daemon=True)
        self._thread.start()

    def take(self, answer: Answer) -> None:
        if zlib.crc32(answer.query.request_id.encode()) >= self._sampled_below or is_evaluation_user(answer.query.user_id):
            return
        if self._closing.is_set():
            self._drop("closed", 1)
        elif len(self._waiting) >= self._max_waiting:
            self._drop("queue_full", 1)
        else:
            self._waiting.append(Taken(answer, round(time.time() * 1e6 - answer.elapsed_ms * 1e3)))

    def close(self) -> None:
        """Write what waits and end the thread; nothing is taken afterwards."""
        self._closing.set()
        self._thread.join()

    def _write_all(self) -> None:
        flushed_s = swept_s = float("-inf")
        while not self._closing.wait(POLL_S):
            now_s = time.monotonic()
            if len(self._waiting) >= FLUSH_ANSWERS or now_s >= flushed_s + self._flush_s:
                self._flush()
                flushed_s = now_s
            if now_s >= swept_s + SWEEP_S:
                self._sweep()
                swept_s = now_s
        self._flush()

    def _flush(self) -> None:
        """Write what waits by now; what comes meanwhile is left for the next time."""
        taken = sorted((self._waiting.popleft() for _ in range(len(self._waiting))), key=lambda each: each.began_us)
        for hour, of_hour in groupby(taken, key=lambda each: hour_of(each.began_us)):
            self._write(hour, list(of_hour))

    def _write(self, hour: str, taken: Sequence[Taken]) -> None:
        """A file of these answers; when they do not go together, their types having changed, halves of them each."""
        try:
            types = types_of(taken, self._types)
            written_bytes = self._shelf.put(hour, self._row_groups(taken, types))
        except OSError:
            self._drop("disk", len(taken))
            log.exception("%d answers are missing in the served log", len(taken))
        except Exception:
            known, self._types = self._types, {}
            if len(taken) > 1:
                middle = len(taken) // 2
                self._write(hour, taken[:middle])
                self._write(hour, taken[middle:])
            elif known:
                self._write(hour, taken)
            else:
                self._drop("unwritable", 1)
                log.exception("the answer to request %s is missing in the served log", taken[0].answer.query.request_id)
        else:
            self._types = {name: kind for name, kind in types.items() if is_whole(kind)}
            pa.default_memory_pool().release_unused()
            WRITTEN.inc(len(taken))
            WRITTEN_BYTES.inc(written_bytes)

    def _row_groups(self, taken: Sequence[Taken], types: dict[str, pa.DataType]) -> Iterator[pa.Table]:
        forgotten = self._shelf.forgotten_us()
        if forgotten:
            names = [self._name_user(each.answer.query.user_id) for each in taken]
            taken = [each for each, name in zip(taken, names, strict=True) if each.began_us > forgotten.get(mark_of(name), 0)]
        for _, of_version in groupby(taken, key=lambda each: each.answer.query.catalogue.version):
            same = list(of_version)
            for start in range(0, len(same), ROW_GROUP):
                began_s = time.perf_counter()
                yield rows_of(same[start : start + ROW_GROUP], types, self._name_user)
                hurried = self._closing.is_set() or len(self._waiting) > self._max_waiting // 2
                time.sleep(BREATH_S if hurried else REST * (time.perf_counter() - began_s))

    def _sweep(self) -> None:
        try:
            self._shelf.sweep()
        except OSError:
            log.exception("old files of the served log cannot be dropped")

    def _drop(self, reason: str, answers: int) -> None:
        self.dropped += answers
        DROPPED.labels(reason).inc(answers)
