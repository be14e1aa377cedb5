"""A thread that stands back behind those that answer."""

from __future__ import annotations

import os
import sys
import threading

# On Linux a thread can be nicer than its process.
NICENESS = 5


def be_nice() -> None:
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
