"""Events through Kafka: consumers share the work, take over from each other, and count everything once."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Producer

from banquet.core.errors import Overloaded
from banquet.core.evaluation_users import evaluation_user
from banquet.core.ids import KeyTypes
from banquet.feedback.events import Event, to_body
from banquet.feedback.kafka import KafkaEventLog
from banquet.feedback.kafka_consumer import run_kafka_consumer
from banquet.feedback.lag import events_set_aside
from banquet.feedback.pushing import Pace
from tests.unit.feedback.fakes import MemoryActivity, features_of, make_event, random_events, recomputed

PACE = Pace(poll_s=0.02, items_every_s=0.0)
PATIENCE_S = 30.0
QUICK = {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 200}


@pytest.fixture(scope="module")
def kafka() -> Iterator[str]:
    """librdkafka's own cluster in this process."""
    cluster = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1})
    brokers = cluster.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    cluster.flush(1)


@contextmanager
def consuming(kafka: str, topic: str, states: Path, store: MemoryActivity) -> Iterator[None]:
    stop = threading.Event()
    arguments = (kafka, topic, "group", states, store, stop, PACE, None, QUICK)
    thread = threading.Thread(target=run_kafka_consumer, args=arguments)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


def wait_until(done: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < give_up_s, "waited too long"
        time.sleep(0.02)


async def append(kafka: str, topic: str, events: list[Event]) -> None:
    log = KafkaEventLog(kafka, topic)
    for start in range(0, len(events), 50):
        await log.append(events[start : start + 50])
    await log.close()


def test_consumers_share_the_work_and_take_over(kafka: str, tmp_path: Path) -> None:
    """Two at first, then one: every feature is that of a recomputation, also for items, which both contribute to."""
    events = random_events(900, seed=4, users=40, items=60)
    first, second = MemoryActivity(), MemoryActivity()
    second.users, second.items = first.users, first.items

    def all_counted(so_far: list[Event]) -> bool:
        return features_of(dict(first.users)) == recomputed(so_far, "user_id") and features_of(dict(first.items)) == recomputed(
            so_far, "item_id"
        )

    # What another program sends there, as JSON without a word of ours, and something that is no event.
    stranger = Producer({"bootstrap.servers": kafka})
    for event in events[:100]:
        stranger.produce("shared", to_body(event), event.user_id)
    stranger.produce("shared", b"nonsense", "u1")
    stranger.flush(10)
    with consuming(kafka, "shared", tmp_path, second):
        with consuming(kafka, "shared", tmp_path, first):
            asyncio.run(append(kafka, "shared", events[:500] + events[::7]))
            known = events[:500] + [event for event in events[::7] if event not in events[:500]]
            wait_until(lambda: all_counted(known))
            # The group settles some seconds after the second has come.
            rest, number = [event for event in events if event not in known], 0
            give_up_s = time.monotonic() + PATIENCE_S
            while not (first.pushes["users"] and second.pushes["users"]) and number < 200 and time.monotonic() < give_up_s:
                asyncio.run(append(kafka, "shared", rest[number : number + 5]))
                number += 5
                time.sleep(0.2)
            assert first.pushes["users"], "each has some partitions"
            assert second.pushes["users"], "each has some partitions"
        asyncio.run(append(kafka, "shared", rest[number:]))
        wait_until(lambda: all_counted(events))


def test_ids_that_are_no_keys_are_set_aside(kafka: str, tmp_path: Path) -> None:
    """Once each, though items are counted from a second topic; what comes behind them counts."""
    store = MemoryActivity(keys=KeyTypes("INT64", "INT64"))
    ids = [("abc", "1"), ("7", "i2"), ("007", "1"), ("7", "1")]
    events = [make_event(number, user=user, item=item) for number, (user, item) in enumerate(ids)]
    with consuming(kafka, "numbers", tmp_path, store):
        asyncio.run(append(kafka, "numbers", events))
        wait_until(lambda: "7" in store.users and "1" in store.items)
    assert (set(store.users), set(store.items)) == ({"7"}, {"1"})
    assert events_set_aside(tmp_path.glob("*.db")) == 3


async def test_a_cluster_that_cannot_be_reached_refuses() -> None:
    """Within the delivery timeout; the caller may send the events again."""
    log = KafkaEventLog("127.0.0.1:1", "events", {"delivery.timeout.ms": 300, "linger.ms": 0})
    with pytest.raises(Overloaded, match="cannot be made durable in topic events"):
        await log.append(random_events(3, seed=1))
    await log.close()


def test_evaluation_users_change_no_item(kafka: str, tmp_path: Path) -> None:
    """Neither what the gateways write nor what others send on by item; their own history is kept up."""
    store, guest = MemoryActivity(), evaluation_user(1)
    events = random_events(40, seed=5)
    guests = [replace(event, event_id=f"guest-{event.event_id}", user_id=guest) for event in random_events(60, seed=6)]
    stranger = Producer({"bootstrap.servers": kafka})
    for event in guests:
        stranger.produce("guests.by-item", to_body(event), event.item_id)
    stranger.flush(10)
    with consuming(kafka, "guests", tmp_path, store):
        asyncio.run(append(kafka, "guests", guests + events))
        wait_until(lambda: features_of(dict(store.users)) == recomputed(guests + events, "user_id"))
        wait_until(lambda: features_of(dict(store.items)) == recomputed(events, "item_id"))
    assert guest not in store.user_recent
    assert features_of(store.items) == recomputed(events, "item_id")
