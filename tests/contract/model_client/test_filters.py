"""A query with filters gets the best of what meets them, whoever runs the models."""

import asyncio

import numpy as np
import pytest

from banquet.core.catalogue import Catalogue
from banquet.core.pipeline import Pipeline
from banquet.core.query import AttributeFilter, UserFeatures
from banquet.stages.filter_bits import FilterBits
from banquet.stages.filters.attributes import Attributes
from banquet.stages.filters.available import Available
from banquet.stages.filters.duplicates import Duplicates
from banquet.stages.filters.seen import Seen
from banquet.stages.selectors.top_k import TopK
from banquet.stages.sources.cascade import Cascade
from banquet.stages.sources.popular import Popular
from banquet.wire.bits import pack_bits
from banquet.wire.catalogue_file import read_catalogue
from tests.contract.model_client.jobs import job
from tests.fakes import FakeUsers, make_query
from tests.release_factory import make_schema

HISTORY = (8, 5, 3)
USER = UserFeatures("u1", {"gender": "F", "age": 30.0, "interaction_count": 9.0}, tuple(f"i{k}" for k in HISTORY), found=True)
FOUND = 8
LIMIT = 6


@pytest.fixture
def catalogue(served) -> Catalogue:
    return Catalogue(read_catalogue(served.catalogues, served.catalogue), 0.0)


@pytest.fixture
def pipeline(real) -> Pipeline:
    """A placement whose retrieval finds few of all items, with popular items in reserve."""
    cascade = Cascade(real, make_schema(), FOUND, FilterBits())
    filters = [Seen(), Available(), Attributes(), Duplicates()]
    return Pipeline("home", FakeUsers({"u1": USER}), [cascade], Popular(100), filters, None, TopK())


async def best_matching(models, catalogue, wanted) -> list[int]:
    """All items as the models order them, then filtered: the retrieval's first few that match, by their ranking."""
    user = make_schema().encode_user(USER.values)
    numbers = {"user_categories": user.categories, "user_numbers": user.numbers}
    rows = {"history": HISTORY[::-1], "seen": HISTORY, "limit": [len(catalogue)]}
    found = (await models.predict(job("cascade", catalogue.version, **rows, **numbers), 10.0)).arrays
    first = np.flatnonzero(catalogue.holds(wanted.attribute, wanted.values, found["rows"]))[:FOUND]
    return found["rows"][first[np.argsort(-found["ranking"][first], kind="stable")]].tolist()


@pytest.mark.parametrize("wanted", [AttributeFilter("genres", ("horror",)), AttributeFilter("colour", ("mauve", "red"))], ids=str)
async def test_a_narrow_filter_gets_the_best_of_what_meets_it(real, pipeline, catalogue, wanted):
    """Few of all items meet it; as many as were wanted come, in the models' order, and none because it is popular."""
    matching = catalogue.holds(wanted.attribute, wanted.values).sum()
    assert FOUND < matching < len(catalogue) / 2
    answer = await pipeline.run(make_query(catalogue, limit=LIMIT, filters=(wanted,)))
    assert answer.picks.rows.tolist() == (await best_matching(real, catalogue, wanted))[:LIMIT]
    assert {answer.picks.source_of(place) for place in range(LIMIT)} == {"cascade"}
    assert answer.degradations == []


async def test_when_too_few_meet_a_filter_those_come_and_the_answer_says_so(pipeline, catalogue):
    """There is nothing to fill up with."""
    wanted = AttributeFilter("title", ("Title of i7", "Title of i9"))
    answer = await pipeline.run(make_query(catalogue, limit=LIMIT, filters=(wanted,)))
    assert sorted(answer.picks.rows.tolist()) == [7, 9]
    assert [(lost.stage, lost.reason) for lost in answer.degradations] == [("candidates", "short_list")]


@pytest.mark.parametrize("model", ["retrieval", "cascade"])
async def test_queries_with_masks_and_without_share_a_model(real, make_job, model):
    """Each gets what it would get alone."""
    masks = [pack_bits(np.arange(60) % 7 == k) for k in range(4)]
    jobs = [make_job(model, **({"allowed": mask} if k % 2 else {})) for k, mask in enumerate(masks)]
    together = await asyncio.gather(*(real.predict(job, 10.0) for job in jobs))
    for k, (its, answer) in enumerate(zip(jobs, together, strict=True)):
        alone = await real.predict(its, 10.0)
        assert answer.arrays["rows"].tolist() == alone.arrays["rows"].tolist()
        assert not k % 2 or {row % 7 for row in answer.arrays["rows"].tolist()} == {k}
