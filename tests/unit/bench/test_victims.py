"""Faults hit what one process started, and nobody else."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager

import psutil
import pytest

from bench.victims import Family, Kill, NoVictim, alive

# A length of sleep that nobody else asks for.
NAP = "6174.25"


@contextmanager
def parent_of_a_sleeper():
    with subprocess.Popen(["sh", "-c", f"sleep {NAP} & wait"]) as shell:
        family = Family(psutil.Process(shell.pid))
        try:
            while not family.running(f"sleep {NAP}"):
                time.sleep(0.002)
            yield family
        finally:
            family.look()
            shell.kill()
            for one in family.seen:
                if one.is_running():
                    one.kill()


def sleeper(family: Family) -> list[psutil.Process]:
    return family.running(f"sleep {NAP}")


def ends(process: psutil.Process, patience_s: float = 5.0) -> bool:
    give_up_s = time.monotonic() + patience_s
    while alive(process) and time.monotonic() < give_up_s:
        time.sleep(0.002)
    return not alive(process)


@pytest.fixture
def stranger():
    with subprocess.Popen(["sleep", NAP]) as process:
        yield process
        process.kill()


def test_only_descendants_are_killed(stranger):
    """A process of somebody else with the same command line lives on."""
    fault = Kill("nap_killed", "kill -9 of the sleeper", sleeper)
    with parent_of_a_sleeper() as family:
        victims = fault.victims(family)
        assert [one.ppid() for one in victims] == [family.root.pid]
        fault.begin(family, victims)
        assert all(ends(one) for one in victims)
    assert stranger.poll() is None


def test_what_was_killed_is_not_its_own_replacement():
    """Another process of its kind must run before it counts as back; one that was only stopped needs none."""
    with parent_of_a_sleeper() as family:
        victims = sleeper(family)
        assert not Kill("killed", "", sleeper).replaced(family, victims)
        assert Kill("killed", "", sleeper).replaced(family, victims[:0])
        assert Kill("stopped", "", sleeper, hangs=True, lasts_s=1.0).replaced(family, victims)


def test_whoever_outlives_the_parent_is_ended():
    """Orphans are remembered, told and killed."""
    with parent_of_a_sleeper() as family:
        (orphan,) = sleeper(family)
        family.root.kill()
        family.end(0.01)
        assert family.outlived == [orphan]
        assert ends(orphan)


def test_nothing_to_hit_is_an_error():
    """A benchmark that breaks nothing would measure nothing."""
    with parent_of_a_sleeper() as family, pytest.raises(NoVictim, match="nothing like it"):
        Kill("none", "nothing like it", lambda family: family.running("no such command")).victims(family)
