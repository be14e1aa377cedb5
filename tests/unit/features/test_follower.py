"""The gateway's side of the catalogue folder."""

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from banquet.features.follower import CatalogueFollower
from banquet.wire.catalogue_file import POINTER, Column, Pointer, point_to, write_catalogue


def publish(folder: Path, ids: list[str], confirmed_at_s: float = 1.0) -> str:
    columns = {"price": Column("number", "item_profile", np.arange(len(ids), dtype=np.float32))}
    return write_catalogue(folder, ids, columns, statuses={}, event_times_us={}, confirmed_at_s=confirmed_at_s)


def until(true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


@pytest.fixture
def follower(tmp_path: Path) -> Iterator[CatalogueFollower]:
    follower = CatalogueFollower(tmp_path, poll_s=0.01)
    yield follower
    follower.stop()


def test_before_the_first_version_there_is_none(follower: CatalogueFollower) -> None:
    """The gateway is not ready, and says so by this."""
    follower.start()
    assert follower.current() is None
    assert not follower.wait(0.0)


def test_a_version_that_is_there_is_held_from_the_start(follower: CatalogueFollower, tmp_path: Path) -> None:
    """With its look-ups made."""
    version = publish(tmp_path, ["a", "b"])
    follower.start()
    current = follower.current()
    assert current is not None
    assert (current.version, current.rows_of(["b", "x"]).tolist()) == (version, [1, -1])
    assert "_row_of" in vars(current)


def test_the_first_version_can_be_waited_for(follower: CatalogueFollower, tmp_path: Path) -> None:
    """A gateway that starts before the builder."""
    follower.start()
    publish(tmp_path, ["a"])
    assert follower.wait(5.0)


def test_a_new_version_takes_over_and_the_last_one_stays_at_hand(follower: CatalogueFollower, tmp_path: Path) -> None:
    """Queries under way keep theirs; older ones are let go."""
    versions = [publish(tmp_path, ["a"])]
    follower.start()
    for ids in (["a", "b"], ["a", "b", "c"]):
        versions.append(publish(tmp_path, ids))
        until(lambda: (held := follower.current()) is not None and held.version == versions[-1])
    assert follower.version(versions[2]) is follower.current()
    assert follower.version(versions[1]) is not None
    assert follower.version(versions[0]) is None


def test_a_confirmation_refreshes_the_age_and_nothing_else(follower: CatalogueFollower, tmp_path: Path) -> None:
    """The same file and look-ups, a younger age."""
    version = publish(tmp_path, ["a"], confirmed_at_s=1.0)
    follower.start()
    before = follower.current()
    assert before is not None
    point_to(tmp_path, Pointer(version, 2.0))
    until(lambda: (held := follower.current()) is not None and held.confirmed_at_s == 2.0)
    after = follower.current()
    assert after is not None
    assert after.item_ids is before.item_ids
    assert before.confirmed_at_s == 1.0


def test_a_version_that_cannot_be_read_leaves_the_last_one_in_force(
    follower: CatalogueFollower, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Said once, tried again, healed by itself."""
    good = publish(tmp_path, ["a"])
    follower.start()
    with caplog.at_level(logging.WARNING):
        point_to(tmp_path, Pointer("0" * 16, 2.0))
        until(lambda: "cannot be read" in caplog.text)
        time.sleep(0.05)
    assert caplog.text.count("cannot be read") == 1
    held = follower.current()
    assert held is not None
    assert held.version == good
    better = publish(tmp_path, ["a", "b"])
    until(lambda: (held := follower.current()) is not None and held.version == better)


def test_a_pointer_that_is_no_json_is_survived(follower: CatalogueFollower, tmp_path: Path) -> None:
    """Someone else's file under our name."""
    (tmp_path / POINTER).write_text("{")
    follower.start()
    assert follower.current() is None
    publish(tmp_path, ["a"])
    assert follower.wait(5.0)
