"""What runs on a CUDA device alone. Everything here skips where there is none, and says so."""

from __future__ import annotations

import pytest
import torch


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/gpu" in str(item.path):
            item.add_marker(pytest.mark.gpu)
            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="NOT TESTED: torch sees no CUDA device on this machine"))
