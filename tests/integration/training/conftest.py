"""One small training that several suites look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from banquet.training.datasets.synthetic import synthesize
from banquet.training.train import TrainingOrder, train

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "synthetic"
    synthesize(users=200, items=100, events=5_000, seed=3).write(folder)
    return folder


@pytest.fixture(scope="session")
def release(data, tmp_path_factory) -> Path:
    return train(TrainingOrder(data, tmp_path_factory.mktemp("releases"), threads=1))
