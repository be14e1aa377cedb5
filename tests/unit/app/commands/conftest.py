"""The command line against a real gRPC server in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from banquet.app.cli import app
from tests.contract.client.gateway import FakeGateway

Run = Callable[..., Result]


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    """A gateway that `run` finds without being told."""
    with FakeGateway() as server:
        monkeypatch.setenv("BANQUET_ADDRESS", server.address)
        yield server


@pytest.fixture
def run() -> Run:
    """Runs `banquet` with the arguments, on a wide and colourless terminal."""

    def banquet(*arguments: str, columns: int = 200) -> Result:
        plain = {"COLUMNS": str(columns), "NO_COLOR": "1", "TERM": "dumb"}
        return CliRunner().invoke(app, list(arguments), env={**os.environ, **plain})

    return banquet
