"""A pipeline answers whatever is late, broken or missing, and says what it left out."""

import time
from dataclasses import replace

import numpy as np
import pytest

from banquet.core.deadline import Deadline, Lateness
from banquet.core.errors import DeadlineUnmeetable, StageFailed
from banquet.core.pipeline import Pipeline, reply_reserve_s
from banquet.core.query import AttributeFilter, Degradation, UserFeatures
from banquet.stages.filters.attributes import Attributes
from banquet.stages.filters.available import Available
from banquet.stages.filters.duplicates import Duplicates
from banquet.stages.selectors.top_k import TopK
from banquet.stages.sources.popular import Popular
from banquet.wire.columns import Column, Strings
from tests.fakes import FakeScorer, FakeSink, FakeSource, FakeUsers, make_catalogue, make_query


def make_pipeline(**parts: object) -> Pipeline:
    users = FakeUsers({"u1": UserFeatures("u1", {"age": 30}, ("i1",), found=True)})
    chosen = {
        "placement": "home",
        "users": users,
        "sources": [FakeSource("quick", rows=[1, 2, 3])],
        "reserve": None,
        "filters": [],
        "scorer": None,
        "selector": TopK(),
    } | parts
    return Pipeline(**chosen)


async def test_a_slow_source_costs_its_items_not_the_answer() -> None:
    """A source that overruns its budget is left out, and the answer says so."""
    sources = [FakeSource("quick", rows=[1, 2, 3]), FakeSource("slow", rows=[4], delay_s=9)]
    answer = await make_pipeline(sources=sources, budgets_s={"slow": 0.01}).run(make_query())
    assert answer.picks.rows.tolist() == [1, 2, 3]
    assert answer.degradations == [Degradation("slow", "timeout")]


@pytest.mark.parametrize("error", [StageFailed("unavailable"), RuntimeError("bug")])
async def test_a_broken_source_is_reported_with_its_reason(error: Exception) -> None:
    """Foreseen failures keep their reason, bugs become `internal_error`; neither reaches the caller."""
    sources = [FakeSource("broken", error=error), FakeSource("quick", rows=[1, 2, 3])]
    answer = await make_pipeline(sources=sources).run(make_query())
    reason = "unavailable" if isinstance(error, StageFailed) else "internal_error"
    assert answer.degradations == [Degradation("broken", reason)]
    assert answer.picks.rows.tolist() == [1, 2, 3]


async def test_a_failed_scorer_keeps_the_order_of_the_source() -> None:
    """Without ranking scores, items stay as retrieval ordered them."""
    answer = await make_pipeline(scorer=FakeScorer(error=StageFailed("unavailable"))).run(make_query())
    assert answer.picks.rows.tolist() == [1, 2, 3]
    assert answer.degradations == [Degradation("ranking", "unavailable")]


async def test_ranking_decides_the_order() -> None:
    """The scorer's best comes first (the fake likes high rows)."""
    answer = await make_pipeline(scorer=FakeScorer()).run(make_query())
    assert answer.picks.rows.tolist() == [3, 2, 1]
    assert answer.release == "rel"


async def test_a_short_list_is_filled_from_the_reserve() -> None:
    """The reserve is asked only when too little is left, and goes through the same filters."""
    pipeline = make_pipeline(sources=[FakeSource("quick", rows=[1])], reserve=Popular(10), filters=[Available(), Duplicates()])
    answer = await pipeline.run(make_query(limit=4))
    assert answer.picks.rows.tolist() == [1, 0, 2, 3]
    assert [answer.picks.source_of(k) for k in range(4)] == ["quick", "popular", "popular", "popular"]
    assert answer.degradations == []


async def test_a_list_that_stays_short_is_reported() -> None:
    """Fewer items than asked for is an answer that says `short_list`."""
    answer = await make_pipeline().run(make_query(limit=5))
    assert len(answer.picks) == 3
    assert answer.degradations == [Degradation("candidates", "short_list")]


async def test_an_unknown_user_gets_an_answer() -> None:
    """An unknown user is reported, not an error."""
    answer = await make_pipeline().run(make_query(user_id="nobody"))
    assert answer.degradations == [Degradation("users", "unknown_user")]
    assert len(answer.picks) == 3


async def test_a_broken_user_store_gets_an_answer() -> None:
    """Without the user's row the defaults stand in."""
    answer = await make_pipeline(users=FakeUsers(broken=True)).run(make_query())
    assert answer.degradations == [Degradation("users", "unavailable")]
    assert answer.query.user.history == ()


async def test_what_is_missing_of_a_user_is_said() -> None:
    """The reader's notes are degradations of the answer, and it is told the query's context."""
    users = FakeUsers({"u1": UserFeatures("u1", {}, (), found=True, notes=("outside_max_age",))})
    answer = await make_pipeline(users=users).run(replace(make_query(), context={"shop_id": "north"}))
    assert answer.degradations == [Degradation("users", "outside_max_age")]
    assert users.contexts == [{"shop_id": "north"}]


async def test_a_filter_without_its_column_keeps_everything_and_says_so() -> None:
    """A missing catalogue column costs the filter, not the answer."""
    catalogue = make_catalogue(columns={})
    query = replace(make_query(catalogue), filters=(AttributeFilter("colour", ("red",)),))
    answer = await make_pipeline(filters=[Available(), Attributes()]).run(query)
    assert answer.degradations == [Degradation("attributes", "missing_column")]
    assert len(answer.picks) == 3


async def test_an_availability_that_cannot_be_read_is_said() -> None:
    """Its item stays, and the answer names the feature."""
    words = Column("category", "v", np.array([0, 1, 2, 0], np.int32), Strings.of(["yes", "no", "perhaps"]))
    pipeline = make_pipeline(sources=[FakeSource("all", rows=[0, 1, 2, 3])], filters=[Available()])
    answer = await pipeline.run(make_query(make_catalogue(4, columns={"available": words})))
    assert answer.degradations == [Degradation("catalogue", "unreadable_available")]
    assert sorted(answer.picks.rows.tolist()) == [0, 2, 3]


async def test_when_everything_fails_popular_answers_within_the_deadline() -> None:
    """Sources that eat the whole deadline leave room for the reserve."""
    pipeline = make_pipeline(sources=[FakeSource("slow", delay_s=9)], reserve=Popular(10), scorer=FakeScorer(delay_s=9))
    began_s = time.perf_counter()
    answer = await pipeline.run(make_query(deadline=Deadline.after(0.05)))
    assert time.perf_counter() - began_s < 1
    assert answer.picks.rows.tolist() == [0, 2, 3]
    assert [d.stage for d in answer.degradations] == ["slow", "ranking"]


async def test_late_timers_leave_more_time_for_the_reply() -> None:
    """A machine so busy that a budget ended 50 ms late: the next query stops waiting 100 ms before its deadline."""

    class Blocking(FakeSource):
        async def find(self, query):
            time.sleep(0.06)  # noqa: ASYNC251 - nothing else runs meanwhile, as on a busy machine
            return await super().find(query)

    pipeline = make_pipeline(sources=[Blocking("blocking", delay_s=9)], budgets_s={"blocking": 0.01})
    await pipeline.run(make_query())
    assert 0.04 < pipeline.lateness.now_s() <= 0.1
    after = make_pipeline(sources=[FakeSource("slow", delay_s=9)], lateness=pipeline.lateness)
    query = make_query(deadline=Deadline.after(0.2))
    answer = await after.run(query)
    assert answer.degradations[0] == Degradation("slow", "timeout")
    assert query.deadline.remaining_s() > 0.05


def test_lateness_is_forgotten_by_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worst of late counts, and ever less; of a long pause no more than a tenth of a second."""
    now = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    lateness = Lateness(half_life_s=5.0)
    lateness.note(0.08)
    lateness.note(0.01)
    assert lateness.now_s() == pytest.approx(0.08)
    now[0] += 10.0
    assert lateness.now_s() == pytest.approx(0.02)
    lateness.note(0.03)
    assert lateness.now_s() == pytest.approx(0.03)
    lateness.note(30.0)
    assert lateness.now_s() == pytest.approx(0.1)


@pytest.mark.parametrize(("remaining_s", "late_s", "kept_s"), [(0.02, 0, 0.003), (1, 0, 0.1), (0.2, 0.03, 0.06), (0.2, 1, 0.1)])
def test_what_is_kept_for_the_reply(remaining_s: float, late_s: float, kept_s: float) -> None:
    """At least 3 ms and a tenth; twice the lateness, but half of the time at most."""
    assert reply_reserve_s(remaining_s, late_s) == pytest.approx(kept_s)


async def test_a_deadline_already_passed_is_refused() -> None:
    """Nothing can meet it, so nothing is tried."""
    with pytest.raises(DeadlineUnmeetable):
        await make_pipeline().run(make_query(deadline=Deadline.after(-1)))


async def test_every_stage_is_timed() -> None:
    """Each stage appears once in the timings, in the order it ran, with its backend."""
    sink = FakeSink()
    pipeline = make_pipeline(filters=[Available()], scorer=FakeScorer(), sinks=[sink])
    answer = await pipeline.run(make_query())
    pipeline.tell(answer)
    assert [t.stage for t in answer.timings] == ["users", "quick", "available", "ranking", "top_k"]
    assert [t.run.backend for t in answer.timings] == ["", "fake", "", "fake", ""]
    assert sink.answers == [answer]


async def test_scores_that_came_with_the_candidates_are_kept() -> None:
    """When all candidates are ranked already, the scorer is not asked."""

    class Ranked(FakeSource):
        async def find(self, query):
            found = await super().find(query)
            return replace(found, candidates=found.candidates.ranked(np.array([1, 3, 2], np.float32)))

    scorer = FakeScorer(error=RuntimeError("not to be asked"))
    answer = await make_pipeline(sources=[Ranked("cascade", rows=[1, 2, 3])], scorer=scorer).run(make_query())
    assert answer.picks.rows.tolist() == [2, 3, 1]
    assert answer.degradations == []


async def test_a_catalogue_past_its_bound_is_said() -> None:
    """How old it is stands in every answer; that it is older than it may be, among what was lost."""
    fresh = make_catalogue()
    old = replace(fresh, confirmed_at_s=time.time() - 3.0, fresh_s=2.0)
    answer = await make_pipeline().run(make_query(old))
    assert answer.degradations == [Degradation("catalogue", "stale")]
    assert (await make_pipeline().run(make_query(replace(fresh, fresh_s=2.0)))).degradations == []
