"""The event log on Kafka: a topic keyed by user, so that one user's events stay in order and users can be shared out."""

from __future__ import annotations

import asyncio
import logging
from itertools import islice
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Producer

from banquet.core.errors import Overloaded
from banquet.feedback.events import to_body
from banquet.feedback.ports import Recorded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from confluent_kafka import Message

    from banquet.feedback.events import Event

log = logging.getLogger(__name__)

REMEMBERED_IDS = 100_000
DELIVERY_TIMEOUT_MS = 10_000
_POLL_S = 0.1


class KafkaEventLog:
    """This process's end of a topic; used from one event loop.

    An event counts as recorded when all in-sync replicas have it. options: librdkafka's, over ours. remembered_ids: how many of
    the newest event ids are known as duplicates here; the consumer knows all.
    """

    def __init__(
        self, servers: str, topic: str, options: Mapping[str, object] | None = None, *, remembered_ids: int = REMEMBERED_IDS
    ) -> None:
        ours = {"acks": "all", "enable.idempotence": True, "linger.ms": 1, "delivery.timeout.ms": DELIVERY_TIMEOUT_MS}
        self._producer = Producer({"bootstrap.servers": servers, **ours, **(options or {}), "logger": log})
        self._topic = topic
        self._remembered_ids = remembered_ids
        self._loop = asyncio.get_running_loop()
        self._sending: dict[str, asyncio.Future[None]] = {}
        self._known: dict[str, None] = {}
        self._closed = False
        self._polling = self._loop.run_in_executor(None, self._poll)

    async def append(self, events: Sequence[Event]) -> Recorded:
        """Returns when the events are durable. Raises `Overloaded` when Kafka cannot be reached or too many wait."""
        if self._closed:
            raise Overloaded("the event log is closing; send the events again to another gateway")
        waits: dict[str, asyncio.Future[None]] = {}
        recorded = 0
        for event in events:
            if event.event_id in self._known or event.event_id in waits:
                continue
            if event.event_id not in self._sending:
                recorded += 1
                self._send(event)
            waits[event.event_id] = self._sending[event.event_id]
        for outcome in await asyncio.gather(*waits.values(), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise Overloaded(f"events cannot be made durable in topic {self._topic}: {outcome}; send them again later")
        return Recorded(recorded, len(events) - recorded)

    async def close(self) -> None:
        """Refuse new events and finish those on their way."""
        if self._closed:
            return
        self._closed = True
        await self._polling

    def _send(self, event: Event) -> None:
        done: asyncio.Future[None] = self._loop.create_future()
        # What nobody waits for any more may fail unheard.
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._sending[event.event_id] = done

        def delivered(error: KafkaError | None, _: Message) -> None:
            self._loop.call_soon_threadsafe(self._settle, event.event_id, error)

        try:
            self._producer.produce(self._topic, to_body(event), event.user_id.encode(), on_delivery=delivered)
        except (BufferError, KafkaException) as error:
            self._settle(event.event_id, error)

    def _settle(self, event_id: str, error: Any) -> None:
        done = self._sending.pop(event_id)
        if error is not None:
            done.set_exception(OSError(str(error)))
            return
        self._known[event_id] = None
        for oldest in list(islice(self._known, max(0, len(self._known) - self._remembered_ids))):
            del self._known[oldest]
        done.set_result(None)

    def _poll(self) -> None:
        """Deliver reports until the log is closed and everything was reported."""
        while not self._closed or len(self._producer):
            self._producer.poll(_POLL_S)
