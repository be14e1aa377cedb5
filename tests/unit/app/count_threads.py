"""Says how many threads a process has after some linear algebra; a program for the tests of `Child`."""

import sys
from pathlib import Path

import numpy as np

vectors = np.ones((500, 500), np.float32)
assert (vectors @ vectors).sum() > 0
sys.stdout.write(f"{len(list(Path('/proc/self/task').iterdir()))}\n")
