"""Work that leaves the cores to those who answer."""

import os
import sys

import pytest

from banquet.wire.nice import idly

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads have policies of their own on Linux")


def test_idle_work_gives_what_it_returns_and_leaves_the_caller_as_it_was() -> None:
    """Only the thread that does it stands back."""
    usual = os.sched_getscheduler(0)
    assert idly(lambda: os.sched_getscheduler(0)) == os.SCHED_IDLE
    assert os.sched_getscheduler(0) == usual


def test_what_idle_work_raises_reaches_the_caller() -> None:
    """As if it had been called."""
    with pytest.raises(ZeroDivisionError):
        idly(lambda: 1 // 0)
