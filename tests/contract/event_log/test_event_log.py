"""What every event log promises, the fake of the unit tests included."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from banquet.core.errors import Overloaded
from banquet.feedback.event_log import FileEventLog
from banquet.feedback.events import Event, from_body
from banquet.feedback.kafka import KafkaEventLog
from banquet.feedback.ports import EventLog, Recorded
from banquet.feedback.tail import Tail
from tests.unit.feedback.fakes import MemoryEventLog, make_event


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """librdkafka's own cluster in this process."""
    cluster = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 3})
    brokers = cluster.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    cluster.flush(1)


@pytest.fixture
def topic() -> str:
    return f"events-{uuid.uuid4().hex}"


@pytest.fixture(params=["memory", "file", "kafka"])
async def event_log(request: pytest.FixtureRequest, tmp_path: Path, topic: str) -> AsyncIterator[EventLog]:
    log: EventLog
    match request.param:
        case "memory":
            log = MemoryEventLog()
        case "file":
            log = FileEventLog(tmp_path)
        case _:
            log = KafkaEventLog(request.getfixturevalue("kafka"), topic)
    yield log
    await log.close()


@pytest.fixture
def recorded_ids(event_log: EventLog, request: pytest.FixtureRequest, tmp_path: Path, topic: str) -> Callable[[], list[str]]:
    def ids() -> list[str]:
        match event_log:
            case MemoryEventLog():
                events = event_log.events
            case KafkaEventLog():
                events = read_topic(request.getfixturevalue("kafka"), topic)
            case _:
                events = Tail(tmp_path).read({}, 1_000).events
        return [event.event_id for event in events]

    return ids


def read_topic(servers: str, topic: str) -> list[Event]:
    """All its events, partition by partition."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader", "enable.partition.eof": True})
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        events, ended = [], 0
        while ended < len(partitions):
            for message in consumer.consume(1_000, 0.2):
                if message.error() is not None:
                    ended += message.error().code() == KafkaError._PARTITION_EOF
                else:
                    events.append(from_body(message.value()))
        return events
    finally:
        consumer.close()


async def test_events_are_there_once_append_returns(event_log: EventLog, recorded_ids: Callable[[], list[str]]) -> None:
    """In the order in which they were given."""
    assert await event_log.append([make_event(1), make_event(2)]) == Recorded(2, 0)
    assert await event_log.append([make_event(3)]) == Recorded(1, 0)
    assert recorded_ids() == ["e1", "e2", "e3"]


async def test_an_event_id_counts_once(event_log: EventLog, recorded_ids: Callable[[], list[str]]) -> None:
    """Within a batch and between batches."""
    assert await event_log.append([make_event(1), make_event(1), make_event(2)]) == Recorded(2, 1)
    assert await event_log.append([make_event(2), make_event(3)]) == Recorded(1, 1)
    assert recorded_ids() == ["e1", "e2", "e3"]


async def test_concurrent_appends_all_arrive(event_log: EventLog, recorded_ids: Callable[[], list[str]]) -> None:
    """Each is told its own outcome."""
    outcomes = await asyncio.gather(*(event_log.append([make_event(n), make_event(n // 2)]) for n in range(100)))
    assert sum(outcome.recorded for outcome in outcomes) == 100
    assert sum(outcome.duplicates for outcome in outcomes) == 100
    assert sorted(recorded_ids()) == sorted(f"e{n}" for n in range(100))


async def test_no_events_are_nothing(event_log: EventLog) -> None:
    """And no error."""
    assert await event_log.append([]) == Recorded(0, 0)


async def test_a_closed_log_refuses(event_log: EventLog) -> None:
    """The caller may go elsewhere."""
    await event_log.close()
    with pytest.raises(Overloaded):
        await event_log.append([make_event(1)])
