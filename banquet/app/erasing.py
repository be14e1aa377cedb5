"""Carries out erasures: every place is cleared and scanned afterwards, again and again until nothing is left."""

from __future__ import annotations

import logging
import sqlite3
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from banquet.core.erasure import ErasedPlace
from banquet.core.errors import BanquetError, StageFailed
from banquet.core.evaluation_users import EVERY_EVALUATION_USER
from banquet.features.project.layout import read_layout
from banquet.features.stored_person import count_in, count_rows, erase_from, files_of_users
from banquet.feedback.erase import (
    count_evaluation_users,
    erase_evaluation_users,
    is_erased_online,
    known_evaluation_users,
)
from banquet.feedback.erase import count_user as count_events
from banquet.feedback.erase import erase_user as erase_events
from banquet.stages.sinks.served_files import count_user as count_served
from banquet.stages.sinks.served_files import erase_user as erase_served

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from banquet.core.erasure import Erasure, Place
    from banquet.features.project.repo import FeatureRepo
    from banquet.feedback.erasures import ErasureBook, Wanted

log = logging.getLogger(__name__)

POLL_S = 0.1
LONGEST_PAUSE_S = 10.0
SWEEP_S = 3600.0
# How often a second consumer looks whether the first has ended.
TURN_S = 1.0
# The consumer does it between two steps.
ONLINE_PATIENCE_S = 10.0
# Evaluation users are kept from all others.
EVALUATION_PLACES = ("events", "online_store")


@dataclass(frozen=True, slots=True)
class Events:
    """The event log and the consumer's state; from here on the consumer knows whom to remove from Feast's stores."""

    log_folder: Path
    state_path: Path
    name: str = "events"

    def erase(self, user_id: str) -> int:
        if user_id == EVERY_EVALUATION_USER:
            return erase_evaluation_users(self.log_folder, self.state_path)
        return erase_events(self.log_folder, self.state_path, user_id)

    def count(self, user_id: str) -> int:
        if user_id == EVERY_EVALUATION_USER:
            return count_evaluation_users(self.log_folder, self.state_path)
        return count_events(self.log_folder, self.state_path, user_id)


@dataclass(frozen=True, slots=True)
class OnlineStore:
    """Every view of users. The rows are removed by the consumer, which writes to the store."""

    repo: FeatureRepo
    catalogue: Path
    state_path: Path
    name: str = "online_store"

    def erase(self, user_id: str) -> int:
        deadline_s = time.monotonic() + ONLINE_PATIENCE_S
        while not is_erased_online(self.state_path, user_id):
            if time.monotonic() > deadline_s:
                raise StageFailed("unavailable", "the consumer has not removed the user from the online store yet; see its log")
            time.sleep(POLL_S / 2)
        return 0

    def count(self, user_id: str) -> int:
        users = known_evaluation_users(self.state_path) if user_id == EVERY_EVALUATION_USER else [user_id]
        return count_rows(self.repo, read_layout(self.catalogue), users)


@dataclass(frozen=True, slots=True)
class OfflineStore:
    """The parquet files in the Feast repo: another materialize would bring back whom they hold."""

    repo: FeatureRepo
    catalogue: Path
    name: str = "offline_store"

    def erase(self, user_id: str) -> int:
        return erase_from(files_of_users(self.repo, read_layout(self.catalogue)), user_id)

    def count(self, user_id: str) -> int:
        return count_in(files_of_users(self.repo, read_layout(self.catalogue)), user_id)


@dataclass(frozen=True, slots=True)
class ServedLog:
    """Under the id and under its pseudonym: either may have been in force when an answer was written."""

    folder: Path
    names: Callable[[str], set[str]]
    name: str = "served_log"

    def erase(self, user_id: str) -> int:
        return sum(erase_served(self.folder, known) for known in self.names(user_id))

    def count(self, user_id: str) -> int:
        return sum(count_served(self.folder, known) for known in self.names(user_id))


@dataclass(frozen=True, slots=True)
class TrainingTables:
    """Datasets and training sets: every folder of the workspace that has a `dataset.json`."""

    workspace: Path
    names: Callable[[str], set[str]]
    name: str = "training_tables"

    def erase(self, user_id: str) -> int:
        from banquet.training.served.erase import erase_user  # noqa: PLC0415 - training is loaded when somebody is forgotten

        return sum(erase_user(folder, known) for folder in self._folders() for known in self.names(user_id))

    def count(self, user_id: str) -> int:
        from banquet.training.served.erase import count_user  # noqa: PLC0415 - as above

        return sum(count_user(folder, known) for folder in self._folders() for known in self.names(user_id))

    def _folders(self) -> list[Path]:
        return sorted(path.parent for path in self.workspace.glob("*/dataset.json"))


def keep_erasing(book: ErasureBook, places: Sequence[Place], stop: threading.Event) -> None:
    """Carry out what the book asks for until `stop` is set; what fails is tried again, with growing pauses."""
    pause_s, sweep_due_s = POLL_S, 0.0
    while not stop.wait(pause_s):
        try:
            if not book.is_ours():
                pause_s = TURN_S
                continue
            if time.monotonic() > sweep_due_s:
                sweep_due_s = time.monotonic() + SWEEP_S
                book.drop_old()
            outcomes = [_carry_out(book, places, wanted) for wanted in book.pending()]
        except Exception:
            # Whatever it was: nobody else would carry out the rest.
            log.exception("erasures are held up")
            outcomes = [False]
        pause_s = POLL_S if all(outcomes) else min(max(10 * POLL_S, 2 * pause_s), LONGEST_PAUSE_S)


def _carry_out(book: ErasureBook, places: Sequence[Place], wanted: Wanted) -> bool:
    """Whether nothing is left. A crash in between costs only that places are cleared again."""
    erasure = replace(wanted.erasure, detail="")
    if wanted.user_id == EVERY_EVALUATION_USER:
        places = [place for place in places if place.name in EVALUATION_PLACES]
    try:
        # All of them first: clearing one place may clear another.
        found = {place.name: place.count(wanted.user_id) for place in places}
        for place in places:
            removed = max(place.erase(wanted.user_id), found[place.name])
            erasure = erasure.noted(ErasedPlace(place.name, removed, 0))
            book.note(wanted, erasure)
        for place in places:
            left = place.count(wanted.user_id)
            erasure = erasure.noted(ErasedPlace(place.name, -left, left))
        rest = [f"{place.left} in {place.place}" for place in erasure.places if place.left]
        erasure = replace(erasure, done=not rest, detail=f"still there: {', '.join(rest)}" if rest else "")
        book.note(wanted, erasure)
    except (BanquetError, OSError, sqlite3.Error, ValueError) as error:
        log.warning("erasure %s is tried again: %s", erasure.erasure_id, error)
        _say_why(book, wanted, replace(erasure, detail=f"{type(error).__name__}: {error}"))
        return False
    log.info("erasure %s: %s", erasure.erasure_id, erasure.detail or "nothing is left")
    return erasure.done


def _say_why(book: ErasureBook, wanted: Wanted, erasure: Erasure) -> None:
    try:
        book.note(wanted, erasure)
    except OSError as error:
        log.warning("the state of an erasure cannot be written: %s", error)
