"""A proxy that the environment names: it tunnels to one server whatever address it is asked for, and remembers the addresses."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLES = [name for lower in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy") for name in (lower, lower.upper())]
EXCEPTIONS = ["no_proxy", "NO_PROXY", "no_grpc_proxy"]


@dataclass
class EnvironmentProxy:
    """`upstream` is the port that CONNECT leads to, none: refused. `asked` has the first line of every request."""

    port: int = 0
    upstream: int | None = None
    asked: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return dict.fromkeys(VARIABLES, f"http://127.0.0.1:{self.port}")


@contextlib.contextmanager
def environment_proxy() -> Iterator[EnvironmentProxy]:
    state = EnvironmentProxy()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            state.asked.append(self.rfile.readline().decode().strip())
            while self.rfile.readline().strip():
                pass
            if state.upstream is None:
                self.wfile.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", state.upstream)) as server:
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=_pump, args=(server, self.connection), daemon=True)
                back.start()
                _pump(self.connection, server)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        server.shutdown()
        thread.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(piece)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
