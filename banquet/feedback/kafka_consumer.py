"""Consumers of the event topic that share the work: each has some partitions, and a state file for every partition.

Users are counted where their events are: the topic is keyed by user. An item's events come from many users, so each consumer
sends what it took on to a second topic that is keyed by item, and items are counted there. A partition's state moves with it:
consumers of one group share the folder of the state files, which is locked file by file.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, Producer, TopicPartition

from banquet.core.evaluation_users import is_evaluation_user
from banquet.feedback.consumer import Surroundings, alone, forget_erased, keep_trying
from banquet.feedback.events import from_body, to_body
from banquet.feedback.offline import OfflineThread
from banquet.feedback.ports import StoreUnavailable
from banquet.feedback.pushing import Pace, Pusher
from banquet.feedback.state import ConsumerState
from banquet.feedback.tail import Batch

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from confluent_kafka import Message

    from banquet.core.declared import Entity
    from banquet.feedback.events import Event
    from banquet.feedback.ports import ActivityStore

log = logging.getLogger(__name__)

BY_ITEM = "by-item"
_FLUSH_S = 10.0


def run_kafka_consumer(
    servers: str,
    topic: str,
    group: str,
    state_folder: Path,
    store: ActivityStore,
    stop: threading.Event,
    pace: Pace | None = None,
    surroundings: Surroundings | None = None,
    options: Mapping[str, object] | None = None,
) -> None:
    """Take a share of the topic's partitions until `stop` is set. options: librdkafka's, over ours."""
    pace, surroundings = pace or Pace(), surroundings or Surroundings()
    state_folder.mkdir(parents=True, exist_ok=True)
    shared = _Share(servers, topic, group, state_folder, store, stop, pace, surroundings, options or {})
    try:
        keep_trying(shared.step, stop, 0.0)
    finally:
        shared.close()


class _Partition:
    """One partition's state while it is ours."""

    def __init__(
        self,
        path: Path,
        store: ActivityStore,
        stop: threading.Event,
        pace: Pace,
        around: Surroundings,
        *,
        items: bool,
    ) -> None:
        self.name = path.name.removesuffix(".db")
        self.topic, _, number = self.name.rpartition("-")
        self.number = int(number)
        self.items = items
        self._ours = ExitStack()
        # Whoever had the partition before closes the file before it lets go, or is dead.
        self._ours.enter_context(alone(path, stop))
        entities: tuple[Entity, ...] = ("item",) if items else ("user",)
        self.state = self._ours.enter_context(
            closing(ConsumerState(path, remembered_days=pace.remembered_days, entities=entities))
        )
        self.offline = self._ours.enter_context(closing(OfflineThread(path, around.offline, pace.offline_every_s)))
        self.pusher = Pusher(self.state, store, pace, around.item_changed, keep=around.offline is not None)

    @property
    def offset(self) -> int | None:
        """Where the partition goes on; None when it has no state yet."""
        return self.state.offsets.get(self.name)

    def close(self) -> None:
        self._ours.close()


class _Share:
    def __init__(
        self,
        servers: str,
        topic: str,
        group: str,
        folder: Path,
        store: ActivityStore,
        stop: threading.Event,
        pace: Pace,
        surroundings: Surroundings,
        options: Mapping[str, object],
    ) -> None:
        self._by_item = f"{topic}.{BY_ITEM}"
        self._folder, self._store, self._stop, self._pace, self._around = folder, store, stop, pace, surroundings
        self._partitions: dict[str, _Partition] = {}
        self._messages: Sequence[Message] = []
        common = {"bootstrap.servers": servers, **options, "logger": log}
        self._producer = Producer({"acks": "all", "enable.idempotence": True, "linger.ms": 1, **common})
        for each in (topic, self._by_item):
            # Asking makes them where the cluster makes topics by itself; a missing one would be looked for minutes later.
            self._producer.list_topics(each, timeout=_FLUSH_S)
        ours = {"group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        self._consumer = Consumer({**ours, **common})
        self._consumer.subscribe([topic, self._by_item], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def step(self) -> bool:
        """Take in what is new and push what changed. True when there may be more to do at once."""
        with self._around.base() as base:
            if base is None:
                return False
            for partition in self._partitions.values():
                # The seed's events are of all users and items: each partition's state knows its own alone.
                if partition.state.start_from(base, tuple):
                    partition.offline.start_over()
            # What could not be taken in, because the store was down, comes first.
            self._messages = self._messages or self._consumer.consume(self._pace.batch_events, self._pace.poll_s)
            taken = self._take(self._messages)
            self._messages = []
            more = False
            for partition in self._partitions.values():
                forget_erased(partition.state, self._store, partition.offline)
                more |= partition.pusher.push()
        self._commit(taken)
        return more or bool(taken)

    def close(self) -> None:
        self._consumer.close()
        for partition in self._partitions.values():
            partition.close()

    def _take(self, messages: Sequence[Message]) -> list[_Partition]:
        """Count the messages of each partition, and send those of users on by item; returns the partitions."""
        batches: dict[str, tuple[list[Event], int, int]] = {}
        for message in messages:
            if (error := message.error()) is not None:
                log.warning("kafka: %s", error)
                continue
            name = _name(message)
            if name not in self._partitions:  # it went to another consumer meanwhile
                continue
            events, damaged, _ = batches.get(name, ([], 0, 0))
            event = from_body(message.value() or b"")
            if event is not None:
                events.append(event)
            batches[name] = (events, damaged + (event is None), (message.offset() or 0) + 1)
        # Before any state knows them as counted: a crash in between sends some twice, and their ids tell.
        users = [event for name, batch in batches.items() if not self._partitions[name].items for event in batch[0]]
        self._send_on([event for event in users if self._store.keys.fits(event.user_id, event.item_id)])
        for name, (events, damaged, end) in batches.items():
            if damaged:
                log.error("%d messages of %s are no events", damaged, name)
            self._partitions[name].state.take(Batch(events, {name: end}, damaged), self._store)
        return [self._partitions[name] for name in batches]

    def _send_on(self, events: Sequence[Event]) -> None:
        """Events by item, but for those of evaluation users; returns when they are durable."""
        for event in events:
            if is_evaluation_user(event.user_id):
                continue
            self._producer.produce(self._by_item, to_body(event), event.item_id.encode())
            self._producer.poll(0)
        if left := self._producer.flush(_FLUSH_S):
            raise StoreUnavailable(f"{left} events could not be sent to {self._by_item}")

    def _commit(self, taken: Sequence[_Partition]) -> None:
        """Tell Kafka how far the states are; they know it themselves, this is for whoever watches the group."""
        kept = [each for each in taken if each.name in self._partitions]
        offsets = [TopicPartition(each.topic, each.number, each.offset or 0) for each in kept]
        if offsets:
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            items = partition.topic == self._by_item
            path = self._folder / f"{partition.topic}-{partition.partition}.db"
            ours = _Partition(path, self._store, self._stop, self._pace, self._around, items=items)
            self._partitions[ours.name] = ours
            if ours.offset is not None:
                partition.offset = ours.offset
        consumer.assign(partitions)
        log.info("has %s", ", ".join(sorted(self._partitions)) or "no partition")

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            gone = self._partitions.pop(f"{partition.topic}-{partition.partition}", None)
            if gone is not None:
                gone.close()


def _name(message: Message) -> str:
    return f"{message.topic()}-{message.partition()}"
