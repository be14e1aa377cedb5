"""A byte proxy in front of a TorchServe's unix socket, which misbehaves on command; the program that `Between` starts."""

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import suppress
from pathlib import Path

LOOK_S = 0.02
SLOW_S = 0.5
# More than a worker and a queue of 64 take.
FLOOD = 80
_BYTES = 2**18
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"


class Meddler:
    """Takes the place of a TorchServe's socket as soon as that listens, and again whenever a new one does.

    `manner` says what it does: pass all on, hold answers up for `SLOW_S`, make nonsense of them, or keep TorchServe's queue full
    (of copies of what a gateway asked last).
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._behind = socket.with_name(f"{socket.name}.behind")
        self._front = socket.with_name(f"{socket.name}.front")
        self._own: int | None = None
        self._listener: asyncio.Server | None = None
        self._last_request = b""
        self._flood: list[asyncio.Task[None]] = []
        self.manner = ""
        self.answers = 0

    async def obey(self, orders: asyncio.StreamReader) -> None:
        """Each line is the manner from now on, and is answered with how many answers passed so far; until there are no more."""
        watch = asyncio.create_task(self._watch())
        while line := await orders.readline():
            self.manner = line.decode().strip()
            sys.stdout.write(f"{self.answers}\n")
            sys.stdout.flush()
        watch.cancel()

    async def _watch(self) -> None:
        while True:
            with suppress(OSError):
                if self._socket.stat().st_ino != self._own and await _accepts(self._socket):
                    await self._step_between()
            if (self.manner == "full") != bool(self._flood):
                self._turn_flood()
            await asyncio.sleep(LOOK_S)

    async def _step_between(self) -> None:
        """A bound socket may have another name: at every moment somebody listens to the old one."""
        if self._listener is not None:
            self._listener.close()
        self._listener = await asyncio.start_unix_server(self._pass_on, self._front)
        self._own = self._front.stat().st_ino
        self._behind.unlink(missing_ok=True)
        self._behind.hardlink_to(self._socket)
        self._front.replace(self._socket)

    def _turn_flood(self) -> None:
        if self.manner == "full":
            self._flood = [asyncio.create_task(self._ask_on()) for _ in range(FLOOD)]
            return
        for task in self._flood:
            task.cancel()
        self._flood = []

    async def _ask_on(self) -> None:
        """What a gateway asked last, again and again, as a neighbour who shares the TorchServe would."""
        reader, writer = await asyncio.open_unix_connection(self._behind)
        try:
            while True:
                writer.write(self._last_request)
                length = _LENGTH.search(await reader.readuntil(_END_OF_HEAD))
                assert length is not None, "TorchServe says how long its answers are"
                await reader.readexactly(int(length[1]))
        finally:
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_unix_connection(self._behind)
        except OSError:
            writer.close()
            return
        request = bytearray()
        ways = (self._ask(reader, there[1], request), self._answer(there[0], writer, request))
        tasks = [asyncio.create_task(way) for way in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for end in (writer, there[1]):
            end.close()

    @staticmethod
    async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytearray) -> None:
        while chunk := await reader.read(_BYTES):
            request += chunk
            writer.write(chunk)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytearray) -> None:
        while chunk := await reader.read(_BYTES):
            if request:
                self.answers += 1
                self._last_request = bytes(request)
                request.clear()
                if self.manner == "slow":
                    await asyncio.sleep(SLOW_S)
            if self.manner == "garbage":
                chunk = self._nonsense(chunk)
            writer.write(chunk)

    def _nonsense(self, chunk: bytes) -> bytes:
        """Bodies that are no tensors in turn with what is not HTTP."""
        if self.answers % 2:
            return b"SSH-2.0-nonsense\r\n\r\n"
        head, end, body = chunk.partition(_END_OF_HEAD)
        return head + end + bytes(byte ^ 0x5A for byte in body)


async def _accepts(socket: Path) -> bool:
    _, writer = await asyncio.open_unix_connection(socket)
    writer.close()
    return True


async def _main(socket: Path) -> None:
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    await Meddler(socket).obey(orders)


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
