"""The served log: exactly what the models saw and what became of it, for training and for looking into an answer."""

from __future__ import annotations

import base64
import json
import logging
import math
import queue
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any, TextIO

    from numpy.typing import NDArray

    from banquet.core.candidates import Candidates
    from banquet.core.stages import Answer

log = logging.getLogger(__name__)

MAX_WAITING = 1_000


class ServedLog:
    """Writes one line of JSON per answer to `folder/served-<UTC hour>-<process>.jsonl`, from a thread of its own.

    `dropped` counts the answers missing in it, since too many waited or the disk refused: losing some is better than waiting.
    """

    name = "served_log"

    def __init__(self, folder: Path, *, max_waiting: int = MAX_WAITING) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._refused = 0
        self._failed = 0
        self._closed = False
        self._waiting: queue.Queue[tuple[Answer, float] | None] = queue.Queue(max_waiting)
        self._files = _HourlyFile(folder)
        self._thread = threading.Thread(target=self._write_all, name="served-log", daemon=True)
        self._thread.start()

    def take(self, answer: Answer) -> None:
        if self._closed:
            self._refused += 1
            return
        try:
            self._waiting.put_nowait((answer, time.time()))
        except queue.Full:
            self._refused += 1

    @property
    def dropped(self) -> int:
        return self._refused + self._failed

    def close(self) -> None:
        """Write what waits and end the thread; nothing is taken afterwards."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
            self._thread.join()

    def _write_all(self) -> None:
        while (served := self._waiting.get()) is not None:
            try:
                self._files.write(served[1], served_line(*served), flush=self._waiting.empty())
            except Exception:
                self._failed += 1
                log.exception("the answer to request %s is missing in the served log", served[0].query.request_id)
        try:
            self._files.close()
        except OSError:
            log.exception("the last answers may be missing in the served log")


class _HourlyFile:
    """Lines go to the file of their hour; no other process writes it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = uuid.uuid4().hex[:12]
        self._hour = ""
        self._file: TextIO | None = None

    def write(self, at_s: float, line: str, *, flush: bool) -> None:
        hour = datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H")
        if self._file is None or hour != self._hour:
            self.close()
            self._hour = hour
            self._file = (self._folder / f"served-{hour}-{self._process}.jsonl").open("a", encoding="utf-8")
        self._file.write(line)
        if flush:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def served_line(answer: Answer, at_s: float) -> str:
    """An answer as a line of JSON. Columns of candidates are base64 of little-endian float32 or int8, which `column_of` reads:
    exact, a quarter of the size of digits, and quick to write.
    """
    query = answer.query
    item_ids = query.catalogue.item_ids
    candidates = answer.candidates
    line = {
        "time_us": round(at_s * 1e6),
        "request_id": query.request_id,
        "user_id": query.user_id,
        "placement": query.placement,
        "limit": query.limit,
        "item_id": query.item_id,
        "release": answer.release,
        "catalogue": query.catalogue.version,
        "user": {"found": query.user.found, "values": _without_nan(query.user.values), "history": query.user.history},
        "candidates": {
            "item_ids": [item_ids[row] for row in candidates.rows.tolist()],
            "source_names": candidates.source_names,
            "sources": _base64(candidates.sources, "i1"),
            "scores": _base64(candidates.scores, "<f4"),
            "ranking": _base64(candidates.ranking, "<f4"),
        },
        "picks": _picks(answer.picks, item_ids),
        "degradations": [{"stage": missing.stage, "reason": missing.reason} for missing in answer.degradations],
        "elapsed_ms": round(answer.elapsed_ms, 3),
    }
    return json.dumps(line, separators=(",", ":"), default=_plain) + "\n"


def column_of(text: str, dtype: str = "<f4") -> NDArray[Any]:
    """The values behind a column of candidates: `<f4` for `scores` and `ranking`, `i1` for `sources`."""
    return np.frombuffer(base64.b64decode(text), dtype)


def _picks(picks: Candidates, item_ids: list[str]) -> list[dict[str, object]]:
    return [
        {
            "position": position,
            "item_id": item_ids[row],
            "source": picks.source_of(position),
            "score": _without_nan_value(picks.scores[position].item()),
            "ranking": _without_nan_value(picks.ranking[position].item()),
        }
        for position, row in enumerate(picks.rows.tolist())
    ]


def _base64(values: NDArray[Any], dtype: str) -> str:
    return base64.b64encode(values.astype(dtype, copy=False).tobytes()).decode()


def _without_nan(values: Mapping[str, object]) -> dict[str, object]:
    return {name: _without_nan_value(value) for name, value in values.items()}


def _without_nan_value(value: object) -> object:
    """JSON knows no NaN and no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> object:
    """What JSON has no form for: numpy's values as Python's, anything else as text."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)
