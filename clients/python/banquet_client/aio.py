"""The client for asyncio code: the same calls as `BanquetClient`, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Self, TypeVar

import grpc
from grpc import aio

from banquet_client import calls
from banquet_client.connection import (
    DEFAULT_ADDRESS,
    DEFAULT_BACKOFF,
    DEFAULT_TIMEOUT_S,
    FORGET_TIMEOUT_S,
    STREAM_TIMEOUT_S,
    Connection,
)
from banquet_client.errors import ServerFailed, failure_of
from banquet_client.events import Receipt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from types import TracebackType

    from google.protobuf.message import Message

    from banquet.v1.feedback_pb2 import StreamEventsRequest
    from banquet_client.answers import Answer
    from banquet_client.connection import Tls
    from banquet_client.erasure import Erasure
    from banquet_client.events import Event
    from banquet_client.retries import Backoff
    from banquet_client.status import Status

Result = TypeVar("Result")


class AsyncBanquetClient:
    """Talks to a gateway. Every call has a deadline (`timeout_s`), and is tried again within it while the gateway is unavailable.

    Calls raise the errors of `banquet_client.errors`, all of them `ClientError`. Belongs to the event loop it first runs on.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        tls: Tls | None = None,
        metadata: Mapping[str, str] | None = None,
        backoff: Backoff = DEFAULT_BACKOFF,
    ) -> None:
        to = self._connection = Connection(address, timeout_s, tls, metadata, backoff)
        self._channel = (
            aio.secure_channel(address, to.credentials, to.options)
            if to.credentials
            else aio.insecure_channel(address, to.options)
        )

    async def recommend(
        self,
        user_id: str,
        placement: str = "home",
        limit: int = 10,
        *,
        item_id: str = "",
        context: Mapping[str, str] | None = None,
        exclude: Iterable[str] = (),
        filters: Mapping[str, Iterable[str]] | None = None,
        explain: bool = False,
        timeout_s: float | None = None,
    ) -> Answer:
        """What the user should see at the placement. `item_id` is the item on the page; every one of `filters` must hold.

        `context` has the other parts of the user's feature keys and the data that on-demand features are computed from.
        """
        call = calls.recommend(
            user_id, placement, limit, item_id=item_id, context=context, exclude=exclude, filters=filters, explain=explain
        )
        return await self._run(call, timeout_s)

    async def rank(
        self,
        user_id: str,
        item_ids: Iterable[str],
        *,
        limit: int = 0,
        item_id: str = "",
        context: Mapping[str, str] | None = None,
        explain: bool = False,
        timeout_s: float | None = None,
    ) -> Answer:
        """The caller's own items, best first for the user; `limit` 0 returns all of them."""
        return await self._run(calls.rank(user_id, item_ids, limit, item_id, context, explain=explain), timeout_s)

    async def similar(
        self,
        item_id: str,
        limit: int = 10,
        *,
        exclude: Iterable[str] = (),
        filters: Mapping[str, Iterable[str]] | None = None,
        user_id: str = "",
        explain: bool = False,
        timeout_s: float | None = None,
    ) -> Answer:
        """The items nearest to one item; `user_id` says who is shown them, and changes nothing about which they are."""
        return await self._run(calls.similar(item_id, limit, exclude, filters, user_id, explain=explain), timeout_s)

    async def record(self, events: Iterable[Event], *, timeout_s: float | None = None) -> Receipt:
        """Records 1 to 1,000 events; returns when they are durable. An event sent twice counts once."""
        return await self._run(calls.record(events), timeout_s)

    async def stream_record(
        self,
        events: AsyncIterable[Event] | Iterable[Event],
        *,
        batch_size: int = 100,
        timeout_s: float = STREAM_TIMEOUT_S,
    ) -> AsyncIterator[Receipt]:
        """Records events as they come; yields a receipt for each batch, in order, once it is durable.

        `timeout_s` covers the whole stream. A broken stream is not taken up again: send what has no receipt a second time,
        which is safe because an event keeps its id.
        """
        stream = self._channel.stream_stream(calls.STREAM_EVENTS, calls.to_bytes, calls.read_batch)
        timeout_s = self._connection.attempts(timeout_s).remaining_s()
        receipts = stream(timeout=timeout_s, metadata=self._connection.metadata)
        outbox = calls.Outbox(batch_size)
        try:
            async for event in _each(events):
                if batch := outbox.add(event):
                    yield await self._exchange(receipts, batch)
            if batch := outbox.take():
                yield await self._exchange(receipts, batch)
            await receipts.done_writing()
            await receipts.code()
        finally:
            receipts.cancel()

    async def status(self, *, timeout_s: float | None = None) -> Status:
        """What the gateway has loaded and whether each part works."""
        return await self._run(calls.status(), timeout_s)

    async def forget(self, user_id: str, *, timeout_s: float = FORGET_TIMEOUT_S) -> Erasure:
        """Removes a person from everywhere. Returns when that is done, or shortly before the timeout with `done` False: then it
        goes on by itself, and `erasure` tells how far it is.
        """
        return await self._run(calls.forget(user_id), timeout_s)

    async def erasure(self, erasure_id: str, *, timeout_s: float | None = None) -> Erasure:
        """How far an erasure is. Raises `NotFound` for an id that was never given, or more than a month ago."""
        return await self._run(calls.erasure(erasure_id), timeout_s)

    async def close(self) -> None:
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def _run(self, call: calls.Call[Result], timeout_s: float | None) -> Result:
        attempts = self._connection.attempts(timeout_s)
        send = self._channel.unary_unary(call.method, calls.to_bytes, call.read)
        while True:
            try:
                return await send(call.request, timeout=attempts.remaining_s(), metadata=self._connection.metadata)
            except grpc.RpcError as error:
                pause_s = attempts.pause_s(error)
                if pause_s is None:
                    raise failure_of(error, self._connection.address) from error
            await asyncio.sleep(pause_s)

    async def _exchange(self, receipts: aio.StreamStreamCall[Message, Receipt], batch: StreamEventsRequest) -> Receipt:
        try:
            if not receipts.done():  # a call that is over refuses to write, and `read` tells why it is over
                await receipts.write(batch)
            receipt = await receipts.read()
        except grpc.RpcError as error:
            raise failure_of(error, self._connection.address) from error
        if not isinstance(receipt, Receipt):
            raise ServerFailed("the server ended the stream before it said that the batch is durable")
        return receipt


async def _each(events: AsyncIterable[Event] | Iterable[Event]) -> AsyncIterator[Event]:
    if isinstance(events, AsyncIterable):
        async for event in events:
            yield event
    else:
        for event in events:
            yield event
