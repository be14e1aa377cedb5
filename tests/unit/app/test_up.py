"""The ports of `banquet up`, and how it learns that its gateway is ready."""

import asyncio
import socket

import pytest

from banquet.app.up import _held_port, _tell_when_ready
from banquet.core.errors import BadSettings
from tests.contract.client.gateway import FakeGateway


def test_a_port_whose_server_has_just_ended_can_be_held() -> None:
    """As when Prometheus had read the metrics a moment before a restart."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            # Whoever closes first keeps the port in TIME_WAIT.
            server.accept()[0].close()
            assert client.recv(1) == b""
    with _held_port("127.0.0.1", port) as held:
        assert held == port


def test_a_port_that_is_served_is_refused() -> None:
    """By number, and with the remedy."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(BadSettings, match=f"port {port} on 127.0.0.1: .*--port or"), _held_port("127.0.0.1", port):
            pass


async def test_its_own_gateway_is_asked_directly(proxy) -> None:
    """Whatever proxies the environment names: they would never say that it is ready."""
    ready: list[str] = []
    with FakeGateway() as gateway:
        await asyncio.wait_for(_tell_when_ready(gateway.address, ready.append), 5)
    assert ready == [gateway.address]
    assert proxy.asked == []
