"""The catalogues beside the models."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from banquet.wire.catalogue_file import Column, Pointer, Strings, point_to, write_catalogue
from banquet.wire.schema import SchemaMismatch
from handlers import resident
from handlers.items import _in_order
from handlers.job import JobRefused
from handlers.resident import ResidentCatalogues
from tests.release_factory import make_catalogue
from tests.unit.handlers.conftest import ITEMS
from tests.unit.handlers.reference import job_of, some_queries


def eventually(true, within_s=5.0):
    began_s = time.monotonic()
    while not true():
        assert time.monotonic() - began_s < within_s, "it did not happen"
        time.sleep(0.005)


def publish(folder, number):
    """A catalogue of one item whose id is the number."""
    return write_catalogue(folder, [str(number)], {}, statuses={}, event_times_us={}, confirmed_at_s=0.0)


class Encoder:
    """Stands in for the models: remembers what it encoded."""

    def __init__(self) -> None:
        self.encoded = []
        self.proceed = threading.Event()
        self.proceed.set()
        self.error = None

    def __call__(self, catalogue, before):
        assert self.proceed.wait(10)
        self.encoded.append(catalogue.version)
        if self.error is not None:
            raise self.error
        return _in_order(catalogue, torch.zeros(len(catalogue.ids), 2), None, encoded=0)


@pytest.fixture
def encoder():
    return Encoder()


@pytest.fixture
def follow(catalogue_dir, encoder, monkeypatch):
    """follow() -> the catalogues of `catalogue_dir`, followed quickly."""
    monkeypatch.setattr(resident, "FOLLOW_EVERY_S", 0.01)
    catalogue_dir.mkdir()
    started = []

    def start():
        catalogues = ResidentCatalogues(catalogue_dir, encoder)
        catalogues.start()
        started.append(catalogues)
        return catalogues

    yield start
    encoder.proceed.set()
    for catalogues in started:
        catalogues.stop()


def test_the_version_in_force_is_there_from_the_start(follow, catalogue_dir):
    """A worker that says it is ready has a catalogue, if there is one."""
    version = publish(catalogue_dir, 1)
    assert follow().versions() == [version]


def test_a_worker_starts_before_the_first_catalogue(follow, catalogue_dir):
    """Without a catalogue jobs are stale; the first one published is picked up."""
    catalogues = follow()
    with pytest.raises(JobRefused, match="stale_catalogue"):
        catalogues.get("0" * 16)
    version = publish(catalogue_dir, 1)
    eventually(lambda: catalogues.versions() == [version])


def test_the_last_two_versions_stay(follow, catalogue_dir):
    """A query that began on the version before can end on it; older ones go."""
    catalogues = follow()
    versions = []
    for number in range(3):
        versions.append(publish(catalogue_dir, number))
        eventually(lambda: versions[-1] in catalogues.versions())
    assert catalogues.versions() == versions[1:]


def test_a_version_that_is_asked_for_is_loaded(follow, catalogue_dir):
    """A job may name a version that was in force before the worker began; the one in force stays beside it."""
    old, new = publish(catalogue_dir, 1), publish(catalogue_dir, 2)
    catalogues = follow()
    assert catalogues.get(old).version == old
    assert set(catalogues.versions()) == {old, new}


def test_the_version_in_force_is_never_pushed_out(follow, catalogue_dir, monkeypatch):
    """Jobs for older versions push out each other, once they are no longer in use."""
    monkeypatch.setattr(resident, "IN_USE_S", 0.0)
    versions = [publish(catalogue_dir, number) for number in range(3)]
    catalogues = follow()
    for version in (versions[0], versions[1], versions[0]):
        catalogues.get(version)
        assert set(catalogues.versions()) == {version, versions[2]}


def test_a_version_in_use_stays_while_newer_ones_come(follow, catalogue_dir):
    """A gateway may go on with its version for a moment, however often the catalogue changes; but not for any number."""
    catalogues = follow()
    versions = [publish(catalogue_dir, 0)]
    for number in range(1, 4):
        eventually(lambda: versions[-1] in catalogues.versions())
        catalogues.get(versions[0])
        versions.append(publish(catalogue_dir, number))
    eventually(lambda: versions[-1] in catalogues.versions())
    assert versions[0] in catalogues.versions()
    assert len(catalogues.versions()) <= resident.MOST_KEPT


def test_a_version_is_encoded_once_however_many_ask(follow, catalogue_dir, encoder):
    """Jobs that arrive while a version is being loaded wait for the same load."""
    publish(catalogue_dir, 1)
    catalogues = follow()
    encoder.encoded.clear()
    encoder.proceed.clear()
    version = publish(catalogue_dir, 2)
    asking = [threading.Thread(target=catalogues.get, args=(version,)) for _ in range(4)]
    for thread in asking:
        thread.start()
    encoder.proceed.set()
    for thread in asking:
        thread.join()
    assert encoder.encoded == [version]


def test_serving_goes_on_while_a_version_is_loaded(follow, catalogue_dir, encoder, monkeypatch):
    """The old version answers at once; the new one is refused at once, for whoever waits for it holds up the others."""
    monkeypatch.setattr(resident, "LOAD_WAIT_S", 60.0)
    old = publish(catalogue_dir, 1)
    catalogues = follow()
    encoder.proceed.clear()
    new = publish(catalogue_dir, 2)
    assert catalogues.get(old).version == old
    with pytest.raises(JobRefused, match="still being loaded"):
        catalogues.get(new)
    encoder.proceed.set()
    eventually(lambda: new in catalogues.versions())


def test_a_catalogue_that_does_not_fit_is_a_schema_mismatch(follow, catalogue_dir, encoder):
    """The feature is named, the old version stays, and a version that fits is picked up afterwards."""
    old = publish(catalogue_dir, 1)
    catalogues = follow()
    encoder.error = SchemaMismatch("feature 'genres' is not in the catalogue")
    bad = publish(catalogue_dir, 2)
    with pytest.raises(JobRefused, match=r"schema_mismatch.*genres"):
        catalogues.get(bad)
    assert catalogues.versions() == [old]
    encoder.error = None
    good = publish(catalogue_dir, 3)
    eventually(lambda: good in catalogues.versions())


def test_a_catalogue_that_failed_is_not_read_for_every_job(follow, catalogue_dir, encoder):
    """A failure is remembered for a while."""
    catalogues = follow()
    encoder.error = SchemaMismatch("no")
    bad = publish(catalogue_dir, 1)
    for _ in range(20):
        with pytest.raises(JobRefused, match="schema_mismatch"):
            catalogues.get(bad)
    assert len(encoder.encoded) == 1


def test_the_follower_outlives_whatever_goes_wrong(follow, catalogue_dir, encoder, caplog):
    """A failure nobody foresaw is logged once, and the next version is followed."""
    catalogues = follow()
    encoder.error = ZeroDivisionError("surprise")
    publish(catalogue_dir, 1)
    eventually(lambda: "surprise" in caplog.text)
    time.sleep(0.1)
    assert len([record for record in caplog.records if record.exc_info]) == 1
    encoder.error = None
    good = publish(catalogue_dir, 2)
    eventually(lambda: good in catalogues.versions())


def test_a_damaged_pointer_is_survived(follow, catalogue_dir):
    """The version that was in force goes on serving until the pointer is whole again."""
    version = publish(catalogue_dir, 1)
    catalogues = follow()
    (catalogue_dir / "current.json").write_text("{")
    time.sleep(0.05)
    assert catalogues.get(version).version == version
    point_to(catalogue_dir, Pointer(version, 1.0))
    newer = publish(catalogue_dir, 2)
    eventually(lambda: newer in catalogues.versions())


def test_a_new_catalogue_changes_the_answers_of_a_worker(serve, catalogue_dir):
    """With real models: an item that went out of stock is no longer found once the new version is named."""
    old = make_catalogue(catalogue_dir, items=ITEMS)
    served = serve("retrieval", old)
    job = {
        name: array
        for name, array in job_of([{**some_queries(9, ITEMS)[8], "seen": []}]).items()
        if name in ("history", "seen", "limit")
    }
    before, _ = served(job)
    gone = int(before["rows"][0, 0])
    new = make_catalogue(catalogue_dir, items=ITEMS, unavailable=(gone,))
    eventually(lambda: new in served.catalogues.versions())
    after, metadata = served(job, catalogue=new)
    assert metadata["catalogue"] == new
    assert gone not in after["rows"][0]
    again, metadata = served(job, catalogue=old)
    assert metadata["catalogue"] == old
    np.testing.assert_array_equal(again["rows"], before["rows"])


def test_a_catalogue_without_a_feature_is_refused_by_name(serve, catalogue_dir):
    """With real models: the answer names the feature the release was trained on."""
    column = Column("number", "item_profile", np.ones(1, np.float32))
    colour = Column("category", "item_profile", np.zeros(1, np.int32), Strings.of(["red"]))
    columns = {"year": column, "colour": colour, "interaction_count": column}
    version = write_catalogue(catalogue_dir, ["i1"], columns, statuses={}, event_times_us={}, confirmed_at_s=0.0)
    _, metadata = serve("retrieval", version)(
        {name: np.zeros((1, 1), np.int32) for name in ("history", "limit")} | {"seen": np.zeros((1, 0), np.int32)}
    )
    assert metadata["error"] == "schema_mismatch"
    assert "'genres'" in metadata["detail"]
