"""How the consumer starts."""

import os
import subprocess
import sys

import pytest

LOADING = """
import os, threading
from banquet.feedback import process
os.nice(7)
process.import_module = lambda name: print(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
thread = threading.Thread(target=process._load_feast)
thread.start()
thread.join()
print(os.getpriority(os.PRIO_PROCESS, 0))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux alone")
def test_feast_is_loaded_by_a_thread_nicer_than_its_process() -> None:
    """However nice that is: nobody but root may be less so. Its priority ends with it."""
    own = os.getpriority(os.PRIO_PROCESS, 0)
    done = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True, check=True, timeout=60)
    *loading, afterwards = map(int, done.stdout.split())
    assert afterwards == min(own + 7, 19)
    assert loading
    assert all(niceness == min(own + 7 + 5, 19) for niceness in loading)
