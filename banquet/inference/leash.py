"""Runs a command that the kernel kills when its parent dies: `python leash.py PARENT COMMAND...`, a file to be run by its path.

A process of its own, because the wish (PR_SET_PDEATHSIG, Linux) must be made between fork and exec, where a process with threads
cannot safely run Python.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have died before the wish was made.
    if os.getppid() == int(sys.argv[1]):
        os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - the command is the supervisor's
