"""When a new catalogue version reaches queries."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from banquet.app import handover as module
from banquet.app.handover import Handover
from banquet.core.errors import StageFailed
from banquet.features.catalogue.follower import CatalogueFollower
from banquet.features.problems import note_problem
from banquet.wire.catalogue_file import Column, Strings, write_catalogue
from banquet.wire.schema import Feature, FeatureSchema

SCHEMA = FeatureSchema(user=(), item=(Feature("year", "item_profile", "number"),), history_length=4, item_ids=("a",))


def publish(folder, ids, name="year"):
    columns = {name: Column("number", "item_profile", np.arange(len(ids), dtype=np.float32))}
    return write_catalogue(folder, ids, columns, statuses={}, event_times_us={}, confirmed_at_s=time.time())


class Models:
    """A release that serves: answers a canary or says why not, by model."""

    def __init__(self, release="rel") -> None:
        self.release = release
        self.schema = SCHEMA
        self.reasons = {"retrieval": "", "ranking": ""}
        self.asked = []

    async def ask(self, model, catalogue):
        self.asked.append((model, catalogue.version))
        if self.reasons[model]:
            raise StageFailed(self.reasons[model], "not now")


@pytest.fixture
def follower(tmp_path):
    follower = CatalogueFollower(tmp_path, 0.01, gate=True)
    yield follower
    follower.stop()


@pytest.fixture
def models():
    return Models()


@pytest.fixture
async def handover(follower, models, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.005)
    monkeypatch.setattr(module, "ASK_AGAIN_S", 0.005)
    publish(tmp_path, ["a"])
    follower.start()
    handover = Handover(follower, lambda: [models], list(models.reasons))
    watch = asyncio.create_task(handover.watch())
    yield handover
    watch.cancel()


async def until(true):
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def test_queries_get_a_version_when_every_model_answers_for_it(handover, follower, models, tmp_path):
    """Until then they go on with the one before, and models that answered are not asked again."""
    models.reasons["ranking"] = "stale_catalogue"
    version = publish(tmp_path, ["a", "b"])
    await until(lambda: models.asked.count(("ranking", version)) > 3)
    assert follower.current().version != version
    assert models.asked.count(("retrieval", version)) == 1
    models.reasons["ranking"] = ""
    await until(lambda: follower.current().version == version)


async def test_the_models_of_every_release_that_serves_must_answer(follower, models, tmp_path, monkeypatch):
    """A canary's users would lose its models as much as others theirs."""
    monkeypatch.setattr(module, "LOOK_S", 0.005)
    monkeypatch.setattr(module, "ASK_AGAIN_S", 0.005)
    before = publish(tmp_path, ["a"])
    follower.start()
    candidate = Models("new")
    candidate.reasons["ranking"] = "stale_catalogue"
    watch = asyncio.create_task(Handover(follower, lambda: [models, candidate], list(models.reasons)).watch())
    version = publish(tmp_path, ["a", "b"])
    await until(lambda: candidate.asked.count(("ranking", version)) > 3)
    assert follower.current().version == before
    candidate.reasons["ranking"] = ""
    await until(lambda: follower.current().version == version)
    watch.cancel()


@pytest.mark.parametrize("reason", ["stale_catalogue", "unavailable"])
async def test_the_wait_is_bounded(handover, follower, models, tmp_path, monkeypatch, reason):
    """Models that are never done, or that are gone, do not keep callers from new items."""
    monkeypatch.setattr(module, "ENCODING_S", 0.05)
    monkeypatch.setattr(module, "SILENT_S", 0.05)
    models.reasons["retrieval"] = reason
    version = publish(tmp_path, ["a", "b"])
    await until(lambda: follower.current().version == version)


async def test_a_catalogue_that_the_release_does_not_fit_is_refused_by_the_features_name(handover, follower, models, tmp_path):
    """The old version goes on serving; one that fits again is taken."""
    before = follower.current().version
    other = publish(tmp_path, ["a"], name="price")
    await until(lambda: handover._trouble)
    with pytest.raises(StageFailed, match=rf"release rel does not fit catalogue {other}: feature 'year'"):
        await handover.check_newest()
    await handover.check_in_force()
    assert follower.current().version == before
    assert not models.asked
    fits = publish(tmp_path, ["a", "c"])
    await until(lambda: follower.current().version == fits)
    await until(lambda: not handover._trouble)
    await handover.check_newest()


async def test_a_first_catalogue_that_does_not_fit_is_said_by_name(follower, models, tmp_path):
    """There is none to go on with: callers get what needs no models, and the gateway is not ready."""
    handover = Handover(follower, lambda: [models], ["retrieval"])
    with pytest.raises(StageFailed, match="no_catalogue"):
        await handover.check_in_force()
    publish(tmp_path, ["a"], name="price")
    follower.start()
    with pytest.raises(StageFailed, match="'year'"):
        await handover.check_in_force()


async def test_what_keeps_the_catalogue_from_being_kept_up_is_said(handover, tmp_path):
    """Until it is mended."""
    note_problem(tmp_path, "layout", "no entity 'item'")
    with pytest.raises(StageFailed, match="the layout is not kept up: no entity 'item'"):
        await handover.check_newest()
    note_problem(tmp_path, "layout", "")
    await handover.check_newest()


async def test_an_availability_that_cannot_be_read_is_said(handover, follower, tmp_path):
    """With how many, an example, and what can be written; the catalogue serves all the same."""
    await handover.check_available()
    years = Column("number", "item_profile", np.zeros(3, np.float32))
    words = Column("category", "item_profile", np.array([0, 1, 1], np.int32), Strings.of(["yes", "perhaps"]))
    columns = {"year": years, "available": words}
    version = write_catalogue(tmp_path, ["a", "b", "c"], columns, statuses={}, event_times_us={}, confirmed_at_s=time.time())
    await until(lambda: follower.current().version == version)
    with pytest.raises(
        StageFailed, match="'available' of 2 items is neither yes nor no, such as 'perhaps' of item 'b'; they are shown"
    ):
        await handover.check_available()
