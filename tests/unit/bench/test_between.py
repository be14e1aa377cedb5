"""What lies between a gateway and TorchServe: nothing that is noticed, until it is told to misbehave."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from banquet.core.errors import StageFailed
from banquet.inference.http_transport import HttpTransport
from banquet.inference.transport import TorchServeAddress
from bench.between import Between
from bench.meddler import SLOW_S


class Echo:
    """Answers each request with its body, as TorchServe's HTTP would; counts them."""

    def __init__(self) -> None:
        self.answered = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % length + body)
            self.answered += 1


@asynccontextmanager
async def standing_between(tmp_path):
    """The echo, what stands between, and a way to ask."""
    path, echo = tmp_path / "inference", Echo()
    with Between(path).running() as between:
        async with await asyncio.start_unix_server(echo.serve, path):
            transport = HttpTransport(TorchServeAddress(f"unix:{path}"))
            await until(lambda: path.with_name("inference.behind").exists() and path.exists())
            yield echo, between, lambda: transport.predict("m", "", b"hello", "", 2.0)
            await transport.close()


async def until(condition) -> None:
    give_up_s = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < give_up_s
        await asyncio.sleep(0.01)


async def test_what_passes_through_is_what_was_sent(tmp_path):
    """And it is known that it did."""
    async with standing_between(tmp_path) as (echo, between, ask):
        assert [await ask() for _ in range(3)] == [b"hello"] * 3
        assert (echo.answered, between.answers) == (3, 3)


async def test_slow_answers_are_whole_and_late(tmp_path):
    """By half a second."""
    async with standing_between(tmp_path) as (_, between, ask):
        between.manner = "slow"
        began_s = time.monotonic()
        assert await ask() == b"hello"
        assert time.monotonic() - began_s >= SLOW_S


async def test_garbage_is_no_answer_of_any_kind(tmp_path):
    """What is not HTTP in turn with what is no tensor."""
    async with standing_between(tmp_path) as (_, between, ask):
        between.manner = "garbage"
        with pytest.raises(StageFailed) as caught:
            await ask()
        assert caught.value.reason == "model_error"
        assert await ask() not in (b"hello", b"")
        between.manner = ""
        assert await ask() == b"hello"


async def test_a_full_queue_is_full_of_what_was_asked_last(tmp_path):
    """As long as it is told so."""
    async with standing_between(tmp_path) as (echo, between, ask):
        await ask()
        between.manner = "full"
        await until(lambda: echo.answered > 200)
        between.manner = ""
        await asyncio.sleep(0.2)
        before = echo.answered
        await asyncio.sleep(0.1)
        assert echo.answered == before
