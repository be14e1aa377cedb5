"""The consumer as a process of its own."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING

from banquet.core.left_out import left_out
from banquet.feedback.consumer import Surroundings, run_consumer
from banquet.feedback.pushing import Pace
from banquet.wire.nice import be_nice

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log = logging.getLogger(__name__)

_PARENT_CHECK_S = 0.5


@dataclass(frozen=True, slots=True)
class KafkaSource:
    """A topic and the group of consumers that share it; `options` are librdkafka's."""

    servers: str
    topic: str
    group: str
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """`log_folder` holds the event log, `state_path` the consumer's SQLite file, `repo_path` the Feast repository.

    offline: whether pushed rows go to Feast's offline store, too. kafka: where events come from instead of the log; then
    `state_path` is the folder of the state files.
    """

    log_folder: Path
    state_path: Path
    repo_path: Path
    pace: Pace = field(default_factory=Pace)
    surroundings: Surroundings = field(default_factory=Surroundings)
    offline: bool = True
    kafka: KafkaSource | None = None


def main(settings: ConsumerSettings) -> None:
    """Consume until SIGTERM, SIGINT or the end of the parent process. Raises `BadSettings` when the repository does not fit."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=_stop_with_parent, args=(os.getppid(), stop), daemon=True).start()

    loading = threading.Thread(target=_load_feast, name="Feast")
    loading.start()
    # Signals are heeded meanwhile.
    loading.join()
    from banquet.feedback.feast_offline import FeastOffline  # noqa: PLC0415
    from banquet.feedback.feast_push import FeastActivity  # noqa: PLC0415

    store = FeastActivity(settings.repo_path)
    around = settings.surroundings
    if settings.offline:
        around = replace(around, offline=FeastOffline(store, settings.repo_path))
    # Feast's half million objects stay: looking through them again and again would hold up events for 0.2 s each time.
    gc.collect()
    gc.freeze()
    if settings.kafka is not None:
        from banquet.feedback.kafka_consumer import run_kafka_consumer  # noqa: PLC0415 - an extra

        told = settings.kafka
        log.info("following topic %s of %s", told.topic, told.servers)
        run_kafka_consumer(
            told.servers, told.topic, told.group, settings.state_path, store, stop, settings.pace, around, told.options
        )
        return
    log.info("following events in %s", settings.log_folder)
    run_consumer(settings.log_folder, settings.state_path, store, stop, settings.pace, around)


def _load_feast() -> None:
    """Feast is 6 s of a core, which must not cost those who serve; where all are busy it gets a quarter, since events wait.

    Without torch, which Feast imports where there is one: a second and 180 MB more, for nothing.
    """
    be_nice()
    with left_out("torch"):
        import_module("banquet.feedback.feast_offline")
        import_module("banquet.feedback.feast_push")


def _stop_with_parent(parent: int, stop: threading.Event) -> None:
    while not stop.wait(_PARENT_CHECK_S):
        if os.getppid() != parent:
            stop.set()
