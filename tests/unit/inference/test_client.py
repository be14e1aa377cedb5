"""The client over a unix socket, against a server that says what the test wants."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from banquet.core.errors import StageFailed
from banquet.inference.client import TorchServeClient
from banquet.inference.transport import TorchServeAddress
from banquet.wire.tensors import pack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ARRAYS = {"limit": np.ones((1, 1), np.int32)}
GOOD = pack({"rows": np.zeros((1, 1), np.int32)}, {"release": "r1", "backend": "fake", "model_ms": "0.5"})


class Server:
    """Answers each request with the next of `answers`: a body, an error with its status, text as it is, or None to hang up."""

    def __init__(self, path: Path, answers: list[bytes | str | tuple[int, str] | None]) -> None:
        self.path = path
        self.answers = answers
        self.keys: list[str] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while head := await reader.readuntil(b"\r\n\r\n"):
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:-2])
            await reader.readexactly(int(headers["content-length"]))
            self.keys.append(headers.get("authorization", ""))
            answer = self.answers.pop(0)
            if answer is None:
                break
            if isinstance(answer, str):
                writer.write(answer.encode())
                continue
            status, body = (
                (200, answer) if isinstance(answer, bytes) else (answer[0], json.dumps({"message": answer[1]}).encode())
            )
            writer.write(f"HTTP/1.1 {status} Whatever\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        writer.close()

    def client(self, key_file: Path | None = None) -> TorchServeClient:
        return TorchServeClient(TorchServeAddress(f"unix:{self.path}", key_file=key_file))


@asynccontextmanager
async def serving(tmp_path: Path, *answers: bytes | str | tuple[int, str] | None) -> AsyncIterator[Server]:
    server = Server(tmp_path / "s", list(answers))
    listener = await asyncio.start_unix_server(server.serve, server.path)
    yield server
    listener.close()


async def reason_of(client: TorchServeClient, timeout_s: float = 1.0) -> str:
    with pytest.raises(StageFailed) as caught:
        await client.run("m", "c", ARRAYS, timeout_s)
    return caught.value.reason


async def test_calls_one_after_the_other_share_a_connection(tmp_path):
    """Connecting costs more than asking."""
    async with serving(tmp_path, GOOD, GOOD, GOOD) as server:
        client = server.client()
        for _ in range(3):
            assert (await client.run("m", "c", ARRAYS, 1.0)).run.release == "r1"
        assert server.connections == 1
        await client.close()


async def test_a_connection_that_went_stale_is_replaced(tmp_path):
    """A TorchServe that was restarted meanwhile costs nobody an answer."""
    async with serving(tmp_path, GOOD, None, GOOD) as server:
        client = server.client()
        await client.run("m", "c", ARRAYS, 1.0)
        assert (await client.run("m", "c", ARRAYS, 1.0)).run.backend == "fake"
        assert server.connections == 2
        await client.close()


async def test_an_answer_that_was_given_up_is_never_someone_elses(tmp_path):
    """After a timeout the connection is closed, so that its late answer cannot be taken for the next one."""
    late = asyncio.Event()
    async with serving(tmp_path) as server:

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            server.connections += 1
            await reader.readuntil(b"\r\n\r\n")
            late.set()
            await reader.read()
            writer.close()

        server.serve = slow
        listener = await asyncio.start_unix_server(slow, tmp_path / "slow")
        client = TorchServeClient(TorchServeAddress(f"unix:{tmp_path}/slow"))
        for _ in range(2):
            assert await reason_of(client, timeout_s=0.02) == "timeout"
        assert server.connections == 2
        listener.close()


async def test_nobody_there_is_unavailable_at_once(tmp_path):
    """No socket, or nobody behind it."""
    assert await reason_of(TorchServeClient(TorchServeAddress(f"unix:{tmp_path}/nothing"))) == "unavailable"


async def test_a_refused_key_is_read_again(tmp_path):
    """TorchServe makes new keys when it starts; the call that finds out succeeds all the same."""
    keys = tmp_path / "key_file.json"
    keys.write_text(json.dumps({scope: {"key": f"new-{scope}"} for scope in ("inference", "management")}))
    async with serving(tmp_path, (400, "Token Authorization failed."), GOOD) as server:
        client = server.client(keys)
        await client.run("m", "c", ARRAYS, 1.0)
        assert server.keys == ["", "Bearer new-inference"]
        await client.close()


async def test_calls_refused_at_the_same_time_all_go_on_with_the_new_key(tmp_path):
    """The second one finds the key already read, and uses it."""
    keys = tmp_path / "key_file.json"
    keys.write_text(json.dumps({scope: {"key": f"new-{scope}"} for scope in ("inference", "management")}))
    async with serving(tmp_path, *[(400, "Token Authorization failed.")] * 2, GOOD, GOOD) as server:
        client = server.client(keys)
        await asyncio.gather(*(client.run("m", "c", ARRAYS, 1.0) for _ in range(2)))
        await client.close()


async def test_a_key_that_stays_refused_names_the_file(tmp_path):
    """The person who must repair it knows where."""
    keys = tmp_path / "key_file.json"
    async with serving(tmp_path, (400, "Token Authorization failed.")) as server:
        client = server.client(keys)
        with pytest.raises(StageFailed, match=r"key_file\.json"):
            await client.run("m", "c", ARRAYS, 1.0)
        await client.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (pack({}, {"error": "stale_catalogue", "detail": "c"}), "stale_catalogue"),
        (b"not tensors", "model_error"),
        ((503, "Prediction failed"), "model_error"),
        ((500, "Worker died."), "unavailable"),
        ((413, "too large"), "model_error"),
        ("SSH-2.0-OpenSSH\r\n\r\n", "model_error"),
        ("HTTP/1.1 2xx OK\r\ncontent-length: 3\r\n\r\nabc", "model_error"),
        ("HTTP/1.1 200 OK\r\n\r\n", "model_error"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", "model_error"),
        ("x" * 3 * 2**20, "model_error"),
    ],
)
async def test_every_answer_but_a_good_one_has_a_reason(tmp_path, answer, reason):
    """Payload errors, nonsense, and TorchServe's own errors."""
    async with serving(tmp_path, answer) as server:
        client = server.client()
        assert await reason_of(client) == reason
        await client.close()


async def test_a_job_too_large_for_any_torchserve_is_not_sent(tmp_path):
    """It says how large it is, and the connection stays what it was."""
    async with serving(tmp_path) as server:
        client = server.client()
        with pytest.raises(StageFailed, match=r"job of 8\d{6} bytes") as caught:
            await client.run("m", "c", {"rows": np.zeros((1, 2 * 10**6), np.int32)}, 1.0)
        assert (caught.value.reason, server.connections) == ("model_error", 0)
        await client.close()
