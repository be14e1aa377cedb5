"""The wanted state of the releases and its history, in the folder of the releases.

rollout.json     the state: replaced whole, under a lock
history.jsonl    what led there, one line per change: appended under the same lock
.rollout.lock    held for the moment of a change
.deployer.lock   held by the deployer as long as it lives
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from banquet.core.errors import BadRelease
from banquet.releases.rollout import By, Entry, Rollout, Verb
from banquet.wire.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STATE = "rollout.json"
HISTORY = "history.jsonl"
LOCK = ".rollout.lock"
CURRENT = "current"
DEPLOYER_LOCK = ".deployer.lock"


def read(root: Path) -> Rollout:
    """The state in force; an empty one before the first. Raises `BadRelease` when the file is damaged."""
    path = root / STATE
    try:
        return Rollout.from_json(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return Rollout(stable=_named_alone(root))
    except (ValueError, KeyError, TypeError) as error:
        raise BadRelease(f"{path}: not a state of releases ({error}); remove it and put a release in force with train") from error


def change(
    root: Path, verb: Verb, release: str, step: Callable[[Rollout], Rollout], *, why: str = "", by: By = "person"
) -> Rollout:
    """Take one step and note it, or neither. `step` raises `BadRelease` when it cannot be taken from the state in force.

    A crash between the two leaves a line whose revision was never reached; the next change reuses its number.
    """
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root / LOCK):
        before = read(root)
        after = step(before)
        if after == before:
            return after
        _append(root / HISTORY, Entry(time.time(), verb, release, why, by, after.revision))
        write_atomically(root / STATE, json.dumps(after.to_json(), indent=1).encode())
    return after


def history(root: Path) -> list[Entry]:
    """Every change, oldest first; a line that a crash cut short is left out."""
    try:
        lines = (root / HISTORY).read_text().splitlines()
    except FileNotFoundError:
        return []
    return [entry for line in lines if (entry := _entry(line)) is not None]


@contextmanager
def deploying(root: Path) -> Iterator[bool]:
    """Whether the caller is the one deployer of these releases, for as long as this is open."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / DEPLOYER_LOCK).open("ab") as lock:
        yield _taken(lock, fcntl.LOCK_EX)


def has_deployer(root: Path) -> bool:
    """Whether a deployer lives, in whatever process."""
    try:
        with (root / DEPLOYER_LOCK).open("rb") as lock:
            return not _taken(lock, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def _taken(lock: IO[bytes], how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _named_alone(root: Path) -> str:
    """The version in force as earlier versions of Banquet wrote it."""
    try:
        return (root / CURRENT).read_text().strip()
    except FileNotFoundError:
        return ""


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _append(path: Path, entry: Entry) -> None:
    """Durable, and on a line of its own even after one that a crash cut short."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            whole = file.read(1) == b"\n"
        else:
            whole = True
        file.write((b"" if whole else b"\n") + json.dumps(entry.to_json()).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _entry(line: str) -> Entry | None:
    try:
        return Entry.from_json(json.loads(line))
    except (ValueError, KeyError, TypeError):
        return None
