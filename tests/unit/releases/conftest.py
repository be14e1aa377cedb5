from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.release_factory import make_release

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A sealed release of its own for each test, in force in `tmp_path / "releases"`."""
    return make_release(tmp_path / "releases")
