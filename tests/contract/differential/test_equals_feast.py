"""Whatever happens to a Feast project, Banquet says what Feast's SDK says: values to the bit, statuses, event times."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from redis import Redis

from banquet.features.catalogue import catalogue_builder, sqlite_commits
from banquet.features.project import layout
from tests.contract.differential.banquet_side import BanquetSide
from tests.contract.differential.project import Project
from tests.contract.differential.scenarios import Move, scenarios
from tests.integration.features.world import start_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.differential.scenarios import Scenario

# More by hand: BANQUET_EXAMPLES=2000, which are other examples each time. BANQUET_SHRINK=1 makes a failing one small, in minutes.
EXAMPLES = os.environ.get("BANQUET_EXAMPLES")
SHRINK = (Phase.shrink,) if os.environ.get("BANQUET_SHRINK") else ()
SOME = settings(
    max_examples=int(EXAMPLES or 40),
    derandomize=EXAMPLES is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, *SHRINK),
    report_multiple_bugs=False,
)
SQLITE = "type: sqlite\n  path: online.db"


@pytest.fixture(autouse=True)
def looking_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a builder rests after slow scans and waits for those who tell of commits, and readers look once a second."""
    monkeypatch.setattr(catalogue_builder, "REST", 0.0)
    monkeypatch.setattr(catalogue_builder, "CONFIRM_EVERY_S", 0.0)
    monkeypatch.setattr(sqlite_commits, "GRACE_S", 0.0)
    monkeypatch.setattr(layout, "LOOK_EVERY_S", 0.0)


@pytest.fixture(scope="module")
def redis() -> int:
    return start_redis()


def test_on_sqlite() -> None:
    """After every step of every example: the general reader, the one through Feast, the user reader and the catalogue."""

    @SOME
    @given(scenarios())
    def equal(scenario: Scenario) -> None:
        asyncio.run(play(scenario, SQLITE))

    equal()


def test_on_redis(redis: int) -> None:
    """As on SQLite."""
    client = Redis(port=redis)

    @SOME
    @given(scenarios())
    def equal(scenario: Scenario) -> None:
        client.flushall()
        asyncio.run(play(scenario, f"type: redis\n  connection_string: 127.0.0.1:{redis}"))

    equal()


async def play(scenario: Scenario, online_store: str) -> None:
    with tempfile.TemporaryDirectory() as name, zone_of_this_process():
        move(scenario.zone)
        folder = Path(name)
        project = Project(folder, online_store, scenario.schema, scenario.service, versioned=scenario.versioned)
        for write in scenario.filled:
            project.take(write)
        banquet = BanquetSide(folder)
        try:
            for step, question in scenario.steps:
                if isinstance(step, Move):
                    # Nothing that runs changes its zone: another process goes on.
                    await banquet.aclose()
                    move(step.zone)
                    banquet = BanquetSide(folder)
                else:
                    project.take(step)
                await banquet.check(project, question)
        finally:
            await banquet.aclose()


@contextmanager
def zone_of_this_process() -> Iterator[None]:
    before = os.environ.get("TZ")
    try:
        yield
    finally:
        move(before)


def move(zone: str | None) -> None:
    if zone is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = zone
    time.tzset()
