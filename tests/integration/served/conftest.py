"""One planted world, served and built once."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from banquet.app.recorded import read_recorded
from banquet.stages.sinks.served_files import served_files
from banquet.training.served.build import Built, build
from banquet.training.served.labels import Windows
from tests.integration.served.planted import Planted, serve_planted

TOMORROW = datetime.now(UTC) + timedelta(days=2)


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return asyncio.run(serve_planted(tmp_path_factory.mktemp("planted")))


@pytest.fixture(scope="session")
def trainset(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Built]:
    """The training set's folder, and what was said about it."""
    folder = tmp_path_factory.mktemp("built") / "trainset"
    events = read_recorded(planted.events)
    return folder, build(served_files(planted.served), events, planted.base, folder, Windows(), TOMORROW)
