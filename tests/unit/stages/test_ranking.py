"""The scorer sends what ranking needs, and leaves ranking out of the questions it was found wanting in."""

import numpy as np

from banquet.core.candidates import Candidates
from banquet.core.query import AttributeFilter, UserFeatures
from banquet.core.questions import QUESTIONS, question_of
from banquet.stages.scorers.ranking import Ranking
from banquet.wire.schema import Feature, FeatureSchema
from tests.fakes import FakeModels, make_query

SCHEMA = FeatureSchema((Feature("age", "user_profile", "number"),), (), 50, ())
KNOWN = UserFeatures("u1", {"age": 30.0}, ("i2", "gone", "i5"), found=True)
ROWS = np.array([4, 1, 3], np.int32)
GIVEN = Candidates.of("given", ROWS, -np.arange(3, dtype=np.float32))


def test_every_question_is_told_apart() -> None:
    """By what sets its candidates apart; a user without history comes first, as does one whose items all left the catalogue."""
    filters = (AttributeFilter("genres", ("Drama",)),)
    asked = {
        "catalogue": make_query().with_user(KNOWN),
        "filtered": make_query(filters=filters, item_id="i1").with_user(KNOWN),
        "slate": make_query(item_ids=("i1",), filters=filters).with_user(KNOWN),
        "page": make_query(item_id="i1").with_user(KNOWN),
        "no_history": make_query(item_ids=("i1",), filters=filters).with_user(UserFeatures("u1", {}, ("gone",), found=True)),
    }
    assert {question: question_of(query) for question, query in asked.items()} == {name: name for name in QUESTIONS}


async def test_candidates_without_a_users_vector_are_ranked_by_the_history() -> None:
    """No vector of zeros stands in for one; a vector that retrieval gave is handed on."""
    models = FakeModels()
    await Ranking(models, SCHEMA).score(make_query().with_user(KNOWN), GIVEN)
    assert "user_vector" not in models.jobs[0].arrays
    assert models.jobs[0].arrays["history"].tolist() == [5, 2]
    vector = np.ones(4, np.float32)
    found = Candidates.of("retrieval", ROWS, GIVEN.scores, user_vector=vector)
    await Ranking(models, SCHEMA).score(make_query().with_user(KNOWN), found)
    assert models.jobs[1].arrays["user_vector"] is vector


async def test_a_question_that_ranking_is_left_out_of_gets_the_retrieval_scores() -> None:
    """And no other question does."""
    scorer = Ranking(FakeModels(), SCHEMA, left_out=("slate",))
    slate, whole = make_query(item_ids=("i1",)).with_user(KNOWN), make_query().with_user(KNOWN)
    assert (await scorer.score(slate, GIVEN)).scores.tolist() == [-4, -1, -3]
    assert (await scorer.score(whole, GIVEN)).scores.tolist() == [4, 1, 3]


async def test_strangers_keep_the_order_of_their_source_where_ranking_is_left_out() -> None:
    """Retrieval knows nothing of them either, so no model is asked."""
    models = FakeModels()
    scored = await Ranking(models, SCHEMA, left_out=("no_history",)).score(make_query(), GIVEN)
    assert GIVEN.ranked(scored.scores).in_order().tolist() == [0, 1, 2]
    assert models.jobs == []
