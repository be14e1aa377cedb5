"""How the tests share the machine: two run at once, and those of one folder one after the other, since they share fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent

if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes side by side whose threads spin for each other's cores take many times as long.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            item.add_marker(pytest.mark.xdist_group(_group(item.path)))


def _group(file: Path) -> str:
    """`integration/features`; all of `e2e`, which has one folder."""
    return "/".join(file.relative_to(HERE).parent.parts[:2])
