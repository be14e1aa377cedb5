"""Old segments are deleted, and none that somebody still needs."""

import os
import time
from pathlib import Path

from banquet.feedback.retention import Retention
from banquet.feedback.segments import segment_names
from tests.unit.feedback.fakes import make_event, write_segment

DAY_S = 86_400


def segment(folder: Path, name: str, *, days_old: float, sealed: bool = True) -> int:
    """Its size in bytes."""
    path = folder / f"events-{name}-000001.log"
    write_segment(path, [make_event(1)])
    os.utime(path, (0, time.time() - days_old * DAY_S))
    path.chmod(0o444 if sealed else 0o644)
    return path.stat().st_size


def left(folder: Path) -> list[str]:
    return [name.split("-")[1] for name in segment_names(folder)]


def test_only_old_sealed_and_taken_segments_go(tmp_path: Path) -> None:
    """And the consumer is told which places it need not remember."""
    size = segment(tmp_path, "old", days_old=31)
    segment(tmp_path, "young", days_old=29)
    segment(tmp_path, "live", days_old=31, sealed=False)
    segment(tmp_path, "unread", days_old=31)
    offsets = {f"events-{name}-000001.log": size for name in ("old", "young", "live")}
    offsets["events-unread-000001.log"] = size - 1
    assert Retention(tmp_path, "consumer", 30).sweep(offsets) == ["events-old-000001.log"]
    assert left(tmp_path) == ["live", "unread", "young"]


def test_every_consumer_must_have_taken_a_segment(tmp_path: Path) -> None:
    """One that has read nothing yet keeps them all."""
    size = segment(tmp_path, "old", days_old=31)
    offsets = {"events-old-000001.log": size}
    Retention(tmp_path, "slow", 30).sweep({})
    assert Retention(tmp_path, "quick", 30).sweep(offsets) == []
    assert left(tmp_path) == ["old"]
    Retention(tmp_path, "slow", 30).sweep(offsets)
    assert left(tmp_path) == []


def test_without_a_limit_nothing_goes(tmp_path: Path) -> None:
    """Years of segments may stay."""
    size = segment(tmp_path, "old", days_old=5_000)
    assert Retention(tmp_path, "consumer", 0).sweep({"events-old-000001.log": size}) == []
    assert left(tmp_path) == ["old"]
