"""A TCP proxy that can be told to hold back what the server answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass
class SlowProxy:
    """Forwards `port` to another one; whatever the server answers arrives `delay_s` later. `questions` counts what was asked."""

    port: int = 0
    delay_s: float = 0.0
    questions: int = 0

    async def forward(self, upstream: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", upstream)
        try:
            await asyncio.gather(self._pump(reader, to_server, counts=True), self._pump(from_server, writer, counts=False))
        except ConnectionError:
            pass
        finally:
            writer.close()
            to_server.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool) -> None:
        while piece := await reader.read(1 << 16):
            if counts:
                self.questions += 1
            else:
                await asyncio.sleep(self.delay_s)
            writer.write(piece)
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def slow_proxy(upstream: int) -> AsyncIterator[SlowProxy]:
    """A proxy before a server on a loopback port."""
    proxy = SlowProxy()
    server = await asyncio.start_server(lambda r, w: proxy.forward(upstream, r, w), "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
