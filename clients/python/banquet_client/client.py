"""The client for ordinary, blocking code. Safe to share between threads."""

from __future__ import annotations

import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self, TypeVar

import grpc

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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from banquet.v1.feedback_pb2 import StreamEventsRequest
    from banquet_client.answers import Answer
    from banquet_client.connection import Tls
    from banquet_client.erasure import Erasure
    from banquet_client.events import Event, Receipt
    from banquet_client.retries import Backoff
    from banquet_client.status import Status

Result = TypeVar("Result")


class BanquetClient:
    """Talks to a gateway. Every call has a deadline (`timeout_s`), and is tried again within it while the gateway is unavailable.

    Calls raise the errors of `banquet_client.errors`, all of them `ClientError`.
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
            grpc.secure_channel(address, to.credentials, to.options)
            if to.credentials
            else grpc.insecure_channel(address, to.options)
        )

    def recommend(
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
        return self._run(call, timeout_s)

    def rank(
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
        return self._run(calls.rank(user_id, item_ids, limit, item_id, context, explain=explain), timeout_s)

    def similar(
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
        return self._run(calls.similar(item_id, limit, exclude, filters, user_id, explain=explain), timeout_s)

    def record(self, events: Iterable[Event], *, timeout_s: float | None = None) -> Receipt:
        """Records 1 to 1,000 events; returns when they are durable. An event sent twice counts once."""
        return self._run(calls.record(events), timeout_s)

    def stream_record(
        self, events: Iterable[Event], *, batch_size: int = 100, timeout_s: float = STREAM_TIMEOUT_S
    ) -> Iterator[Receipt]:
        """Records events as they come; yields a receipt for each batch, in order, once it is durable.

        `timeout_s` covers the whole stream. A broken stream is not taken up again: send what has no receipt a second time,
        which is safe because an event keeps its id.
        """
        requests: SimpleQueue[StreamEventsRequest | None] = SimpleQueue()
        stream = self._channel.stream_stream(calls.STREAM_EVENTS, calls.to_bytes, calls.read_batch)
        receipts = stream(
            iter(requests.get, None),
            timeout=self._connection.attempts(timeout_s).remaining_s(),
            metadata=self._connection.metadata,
        )
        outbox = calls.Outbox(batch_size)
        try:
            for event in events:
                if batch := outbox.add(event):
                    requests.put(batch)
                    yield self._next(receipts)
            if batch := outbox.take():
                requests.put(batch)
                yield self._next(receipts)
            requests.put(None)
            receipts.code()
        finally:
            requests.put(None)
            receipts.cancel()

    def status(self, *, timeout_s: float | None = None) -> Status:
        """What the gateway has loaded and whether each part works."""
        return self._run(calls.status(), timeout_s)

    def forget(self, user_id: str, *, timeout_s: float = FORGET_TIMEOUT_S) -> Erasure:
        """Removes a person from everywhere. Returns when that is done, or shortly before the timeout with `done` False: then it
        goes on by itself, and `erasure` tells how far it is. `evaluation-users` are all users that `banquet evaluate` made up.
        """
        return self._run(calls.forget(user_id), timeout_s)

    def erasure(self, erasure_id: str, *, timeout_s: float | None = None) -> Erasure:
        """How far an erasure is. Raises `NotFound` for an id that was never given, or more than a month ago."""
        return self._run(calls.erasure(erasure_id), timeout_s)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _run(self, call: calls.Call[Result], timeout_s: float | None) -> Result:
        attempts = self._connection.attempts(timeout_s)
        send = self._channel.unary_unary(call.method, calls.to_bytes, call.read)
        while True:
            try:
                return send(call.request, timeout=attempts.remaining_s(), metadata=self._connection.metadata)
            except grpc.RpcError as error:
                pause_s = attempts.pause_s(error)
                if pause_s is None:
                    raise failure_of(error, self._connection.address) from error
            time.sleep(pause_s)

    def _next(self, receipts: Iterator[Receipt]) -> Receipt:
        try:
            return next(receipts)
        except grpc.RpcError as error:
            raise failure_of(error, self._connection.address) from error
        except StopIteration:
            raise ServerFailed("the server ended the stream before it said that the batch is durable") from None
