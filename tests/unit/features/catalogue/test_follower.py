"""The gateway's side of the catalogue folder."""

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from banquet.core.catalogue import Catalogue
from banquet.features.catalogue.follower import CatalogueFollower
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
    """Ready for questions."""
    version = publish(tmp_path, ["a", "b"])
    follower.start()
    current = follower.current()
    assert current is not None
    assert (current.version, current.rows_of(["b", "x"]).tolist()) == (version, [1, -1])


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
    assert after.file is before.file
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


def test_what_stays_the_same_is_looked_up_once(follower: CatalogueFollower, tmp_path: Path) -> None:
    """A version with the same items takes over the rows that were asked for, and what was made of the parts they share."""
    publish(tmp_path, ["a", "b"])
    follower.start()
    before = follower.current()
    assert before is not None
    before.rows_of(["b"])
    shared, other = (before.once(key, [key], object) for key in ("ids", "column:price"))
    columns = {"price": Column("number", "item_profile", np.array([7.0, 8.0], np.float32))}
    version = write_catalogue(tmp_path, ["a", "b"], columns, statuses={}, event_times_us={}, confirmed_at_s=1.0)
    until(lambda: (held := follower.current()) is not None and held.version == version)
    after = follower.current()
    assert after is not None
    assert after._rows is before._rows
    assert after.once("ids", ["ids"], object) is shared
    assert after.once("column:price", ["column:price"], object) is not other


def test_with_a_gate_a_new_version_waits_to_be_admitted(tmp_path: Path) -> None:
    """The first is in force at once; what stages need is made before."""
    prepared: list[str] = []
    follower = CatalogueFollower(tmp_path, 0.01, prepare=[lambda catalogue: prepared.append(catalogue.version)], gate=True)
    first = publish(tmp_path, ["a"])
    follower.start()
    second = publish(tmp_path, ["a", "b"])
    until(lambda: follower.candidate() is not None)
    candidate, current = follower.candidate(), follower.current()
    assert candidate is not None
    assert current is not None
    assert (current.version, candidate.version, prepared) == (first, second, [first, second])
    point_to(tmp_path, Pointer(second, 5.0))
    until(lambda: (waiting := follower.candidate()) is not None and waiting.confirmed_at_s == 5.0)
    follower.admit(candidate)
    admitted = follower.current()
    assert admitted is not None
    assert (admitted.version, admitted.confirmed_at_s, follower.candidate()) == (second, 5.0, None)
    assert follower.version(first) is not None
    follower.stop()


def test_past_the_bound_a_catalogue_is_stale(tmp_path: Path) -> None:
    """By default nothing is."""
    publish(tmp_path, ["a"], confirmed_at_s=time.time() - 5)
    stale, kept = CatalogueFollower(tmp_path, fresh_s=4.0), CatalogueFollower(tmp_path)
    for follower, expected in ((stale, True), (kept, False)):
        follower.start()
        current = follower.current()
        assert current is not None
        assert current.is_stale() == expected
        follower.stop()


def test_a_version_that_cannot_be_prepared_is_not_the_last(tmp_path: Path) -> None:
    """The one before stays, and the next one is taken."""

    def prepare(catalogue: Catalogue) -> None:
        if len(catalogue) == 2:
            raise TypeError("a column nobody expected")

    follower = CatalogueFollower(tmp_path, poll_s=0.01, prepare=[prepare])
    try:
        first = publish(tmp_path, ["a"])
        follower.start()
        publish(tmp_path, ["a", "b"])
        time.sleep(0.1)
        held = follower.current()
        assert held is not None
        assert held.version == first
        third = publish(tmp_path, ["a", "b", "c"])
        until(lambda: (held := follower.current()) is not None and held.version == third)
    finally:
        follower.stop()
