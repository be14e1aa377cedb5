"""The ports of `banquet up`."""

import socket

import pytest

from banquet.app.up import _held_port
from banquet.core.errors import BadSettings


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
        with pytest.raises(BadSettings, match=f"port {port} on 127.0.0.1: .*choose another"), _held_port("127.0.0.1", port):
            pass
