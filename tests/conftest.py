"""How the tests share the machine: two run at once, and those of one folder one after the other, since they share fixtures."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from tests.environment_proxy import EXCEPTIONS, EnvironmentProxy, environment_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xdist.scheduler import LoadScopeScheduling

if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes side by side whose threads spin for each other's cores take many times as long.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - not everybody who tests has it

    class ByFolder(LoadScopeScheduling):
        """Gives a process `tests/e2e`, or `tests/unit/core`, as a whole."""

        def _split_scope(self, nodeid: str) -> str:
            return "/".join(PurePosixPath(nodeid.partition("::")[0]).parent.parts[:3])

    return ByFolder(config, log)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[EnvironmentProxy]:
    """A proxy for everything, as the environment of many companies names one."""
    with environment_proxy() as found:
        for name in EXCEPTIONS:
            monkeypatch.delenv(name, raising=False)
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        yield found
