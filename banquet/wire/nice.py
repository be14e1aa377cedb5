"""Threads that stand back behind those that answer."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    T = TypeVar("T")

# On Linux a thread can be nicer than its process.
NICENESS = 5


def be_nice() -> None:
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)


def idly(work: Callable[[], T]) -> T:
    """What the work returns or raises, done in a thread of its own that takes only what time others leave (Linux).

    Threads that the work starts would stand back as well, for as long as they live.
    """
    with ThreadPoolExecutor(1, "idle", _be_idle) as thread:
        return thread.submit(work).result()


def _be_idle() -> None:
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
