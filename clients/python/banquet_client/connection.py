"""Where the gateway is and how to talk to it: what the sync and the async client share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from banquet_client.errors import InvalidRequest
from banquet_client.loopback import channel_options
from banquet_client.retries import Attempts, Backoff

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DEFAULT_ADDRESS = "127.0.0.1:7600"
DEFAULT_TIMEOUT_S = 1.0
STREAM_TIMEOUT_S = 60.0
FORGET_TIMEOUT_S = 30.0
DEFAULT_BACKOFF = Backoff()
CHANNEL_OPTIONS = (
    # A gateway that comes back is found within the deadline of a call: gRPC's own default is to look again after a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # 5,000 explained items do not fit into the default of 4 MiB.
    ("grpc.max_receive_message_length", 32 * 2**20),
)


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of a TLS connection: whom to trust (the system's roots when None), and the client's own certificate, if any.

    `server_name` is the name in the server's certificate when it differs from the address.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        ca, key, certificate = (file.read_bytes() if file else None for file in (self.ca, self.key, self.certificate))
        return grpc.ssl_channel_credentials(ca, key, certificate)


class Connection:
    """The settings of a client, checked once."""

    def __init__(
        self, address: str, timeout_s: float, tls: Tls | None, metadata: Mapping[str, str] | None, backoff: Backoff
    ) -> None:
        self.address = address
        self.credentials = tls.credentials() if tls else None
        name = (("grpc.ssl_target_name_override", tls.server_name),) if tls and tls.server_name else ()
        self.options: tuple[tuple[str, str | int], ...] = (*CHANNEL_OPTIONS, *channel_options(address), *name)
        self.metadata = tuple((key.lower(), value) for key, value in (metadata or {}).items())
        self._timeout_s = _positive(timeout_s)
        self._backoff = backoff

    def attempts(self, timeout_s: float | None) -> Attempts:
        """The tries of one call; `timeout_s` None means the client's own."""
        return Attempts(self._backoff, self._timeout_s if timeout_s is None else _positive(timeout_s))


def _positive(timeout_s: float) -> float:
    if not timeout_s > 0:
        raise InvalidRequest(f"timeout_s {timeout_s}: must be above 0")
    return timeout_s
