"""Acknowledged events survive kill -9, a full disk and a disk that fails."""

import asyncio
import errno
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from banquet.core.errors import Overloaded
from banquet.feedback.event_log import FileEventLog
from banquet.feedback.ports import Recorded
from banquet.feedback.segments import Segment, is_sealed, seal_orphans, segment_names
from banquet.feedback.tail import Tail
from tests.unit.feedback.fakes import make_event


def logged_ids(folder: Path) -> list[str]:
    tail, offsets, ids = Tail(folder), {}, []
    while (batch := tail.read(offsets, 10_000)).offsets:
        offsets.update(batch.offsets)
        ids += [event.event_id for event in batch.events]
        assert batch.damaged == 0
    return ids


def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Two processes at a time append to one folder and are killed at random moments, again and again."""
    chance = random.Random(7)
    acknowledged: set[str] = set()
    for kill in range(3):
        command = [sys.executable, "-m", "tests.integration.feedback.appender", str(tmp_path)]
        writers = [subprocess.Popen([*command, f"{kill}{name}"], stdout=subprocess.PIPE) for name in "ab"]
        first_ids = [writer.stdout.readline() for writer in writers]
        time.sleep(chance.uniform(0.01, 0.3))
        for writer in writers:
            writer.kill()
        rest = [writer.communicate()[0] for writer in writers]
        acknowledged |= {line.decode() for told in (*first_ids, *rest) for line in told.split()}
    # While their processes live, several segments fill; the last of each is torn wherever the kill hit it.
    seal_orphans(tmp_path)
    ids = logged_ids(tmp_path)
    assert len(acknowledged) > 100
    assert acknowledged <= set(ids)
    assert len(ids) == len(set(ids))
    assert all(is_sealed((tmp_path / name).stat()) for name in segment_names(tmp_path))


def test_a_full_disk_refuses_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """A write cut short is refused as a whole, nothing is littered while the disk is full, and afterwards it goes on."""
    command = [sys.executable, "-m", "tests.integration.feedback.full_disk", str(tmp_path)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    (filling, cut_short), (full, refused), (freed, no_refusals) = (found[name] for name in ("filling", "full", "freed"))
    assert cut_short
    assert (full, len(refused)) == ([], 20)
    assert str(tmp_path) in refused[0]
    assert "free space" in refused[0]
    assert (len(freed), no_refusals) == (40, [])
    ids = logged_ids(tmp_path)
    assert set(filling) | set(freed) <= set(ids)
    assert not any(event_id.startswith("full") for event_id in ids)
    assert all((tmp_path / name).stat().st_size for name in segment_names(tmp_path))


async def test_a_failed_sync_acknowledges_nothing_and_the_retry_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The events are not called duplicates afterwards, and go to a segment whose pages are sound."""

    def fail(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    log = FileEventLog(tmp_path)
    await log.append([make_event(1)])
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fail)
        with pytest.raises(Overloaded, match="Input/output error"):
            await log.append([make_event(2)])
    assert await log.append([make_event(1), make_event(2)]) == Recorded(1, 1)
    await log.close()
    assert len(segment_names(tmp_path)) == 2
    assert {"e1", "e2"} <= set(logged_ids(tmp_path))


async def test_what_arrives_during_a_commit_shares_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand concurrent appends take few syncs, not a thousand."""
    commits = []
    append = Segment.append
    monkeypatch.setattr(Segment, "append", lambda segment, data: (commits.append(len(data)), append(segment, data)))
    log = FileEventLog(tmp_path)
    first = asyncio.create_task(log.append([make_event(0)]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.gather(first, *(log.append([make_event(number)]) for number in range(1, 1_000)))
    await log.close()
    assert len(commits) <= 3
    assert len(logged_ids(tmp_path)) == 1_000


async def test_too_many_waiting_events_are_refused(tmp_path: Path) -> None:
    """Before memory fills up, and those that wait are served."""
    log = FileEventLog(tmp_path, max_waiting=10)
    waiting = asyncio.create_task(log.append([make_event(number) for number in range(8)]))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="8 events wait for the disk, at most 10 may"):
        await log.append([make_event(number) for number in range(8, 12)])
    assert await waiting == Recorded(8, 0)
    await log.close()


async def test_segments_end_at_their_size(tmp_path: Path) -> None:
    """Full ones are sealed, so that they can be archived."""
    log = FileEventLog(tmp_path, segment_bytes=200)
    for number in range(10):
        await log.append([make_event(number)])
    await log.close()
    names = segment_names(tmp_path)
    assert len(names) > 3
    assert all(is_sealed((tmp_path / name).stat()) for name in names)
    assert logged_ids(tmp_path) == [f"e{number}" for number in range(10)]


async def test_segments_end_at_their_age(tmp_path: Path) -> None:
    """So that retention finds something to delete where there is little traffic."""
    log = FileEventLog(tmp_path, segment_s=0.0)
    for number in range(3):
        await log.append([make_event(number)])
    await log.close()
    assert len(segment_names(tmp_path)) == 3
    assert sorted(logged_ids(tmp_path)) == ["e0", "e1", "e2"]


async def test_only_recent_ids_are_remembered(tmp_path: Path) -> None:
    """Memory stays bounded; the consumer knows the rest."""
    log = FileEventLog(tmp_path, remembered_ids=2)
    await log.append([make_event(1), make_event(2), make_event(3)])
    assert await log.append([make_event(1), make_event(3)]) == Recorded(1, 1)
    await log.close()
