"""One prepared Feast repo for all, copies for tests that write."""

from pathlib import Path

import pytest

from tests.integration.features.world import World, copy_of, redis_world, sqlite_world


@pytest.fixture
def sqlite(tmp_path: Path) -> World:
    """A SQLite world of the test's own."""
    return copy_of(sqlite_world(), tmp_path)


@pytest.fixture
def redis() -> World:
    """Shared: write under ids of your own."""
    return redis_world()
