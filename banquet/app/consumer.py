"""The event consumer: `python -m banquet.app.consumer SETTINGS.json`, a child of `banquet up`."""

from __future__ import annotations

import json
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from banquet.app.erasing import Events, OfflineStore, OnlineStore, ServedLog, TrainingTables, keep_erasing
from banquet.app.logs import log_to_stderr
from banquet.app.privacy import names_of, pseudonyms_in_force
from banquet.app.settings import read_settings
from banquet.features.offline.prepared import StoreBase
from banquet.features.project.repo import FeatureRepo, SqliteStore
from banquet.features.stores.local_times import note_zone
from banquet.feedback.consumer import Surroundings
from banquet.feedback.erasures import ErasureBook
from banquet.feedback.events import Event
from banquet.feedback.process import ConsumerSettings, KafkaSource
from banquet.feedback.process import main as consume
from banquet.feedback.pushing import Pace
from banquet.wire.changed_items import ChangedItems

if TYPE_CHECKING:
    from collections.abc import Sequence

    from banquet.app.settings import Settings
    from banquet.core.erasure import Place


def main() -> None:
    settings = read_settings(**json.loads(Path(sys.argv[1]).read_text()))
    log_to_stderr(settings.log_level, pseudonyms_in_force(settings))
    note_zone(settings.catalogue)
    stop = threading.Event()
    eraser = threading.Thread(target=keep_erasing, args=(ErasureBook(settings.erasures), places(settings), stop), daemon=True)
    eraser.start()
    try:
        consume(consumer_settings(settings))
    finally:
        stop.set()


def places(settings: Settings) -> Sequence[Place]:
    """Where people are, in the order they are removed: what others are filled from comes first."""
    log_folder, state = settings.feedback / "log", settings.feedback / "consumer.db"
    repo, names = FeatureRepo.open(settings.feature_repo), partial(names_of, settings)
    return (
        Events(log_folder, state),
        OfflineStore(repo, settings.catalogue),
        OnlineStore(repo, settings.catalogue, state),
        ServedLog(settings.served_folder, names),
        TrainingTables(settings.workspace, names),
    )


def consumer_settings(settings: Settings) -> ConsumerSettings:
    repo = FeatureRepo.open(settings.feature_repo)
    base, events = StoreBase(repo), settings.events
    # What reads Redis hears of every write by itself.
    told = partial(ChangedItems(settings.catalogue).add, commits=1) if isinstance(repo.store, SqliteStore) else lambda _: None
    kafka = None
    if events.kafka_servers:
        kafka = KafkaSource(events.kafka_servers, events.kafka_topic, events.kafka_group, events.kafka_options)
    return ConsumerSettings(
        log_folder=settings.feedback / "log",
        state_path=settings.feedback / ("kafka" if kafka else "consumer.db"),
        repo_path=settings.feature_repo,
        pace=Pace(remembered_days=events.retention_days, offline_every_s=events.offline_every_s),
        surroundings=Surroundings(base=base.held, seed=lambda: recent_events(base), item_changed=told),
        offline=events.offline_every_s > 0,
        kafka=kafka,
    )


def recent_events(base: StoreBase) -> Sequence[Event]:
    """The events that the windows of the store's dataset hold."""
    return [Event("", kind, user_id, item_id, time_us) for kind, user_id, item_id, time_us in base.recent_events()]


if __name__ == "__main__":
    main()
