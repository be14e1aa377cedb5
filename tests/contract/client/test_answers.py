"""What goes out and what comes back, typed."""

from datetime import UTC, datetime

import pytest
from banquet_client import Answer, Degradation, Event, Explanation, InvalidRequest, Receipt, Recommendation, Timing


async def test_a_recommendation_comes_back_typed(client):
    """Items, what answered, what was left out and how long it took are all there."""
    answer = await client.recommend("u7", limit=1, explain=True)
    why = Explanation(0.25, 3.0, {"title": "Heat", "genres": "Crime"})
    assert answer == Answer(
        request_id="r1",
        items=(Recommendation("i1", 3.0, "retrieval", why),),
        release="abc",
        catalogue_version="c1",
        catalogue_age_s=5.0,
        degradations=(Degradation("similar", "unavailable"),),
        timings=(Timing("ranking", 3.5, 2.5, "onnxruntime"),),
    )


async def test_a_recommend_request_carries_everything_the_caller_said(client, gateway):
    """Placement, limit, context, exclusions and filters reach the server as given."""
    await client.recommend("u7", "detail", 3, item_id="i9", exclude=["i1"], filters={"genres": ["Comedy", "Drama"]})
    (request,) = gateway.requests
    assert (request.user_id, request.placement, request.limit, request.context.item_id) == ("u7", "detail", 3, "i9")
    assert list(request.exclude_item_ids) == ["i1"]
    assert [(f.attribute, list(f.values)) for f in request.filters] == [("genres", ["Comedy", "Drama"])]
    assert not request.explain


async def test_items_have_no_explanation_unless_asked(client):
    """An explanation is None when the call did not ask for one."""
    answer = await client.recommend("u7")
    assert [item.explanation for item in answer.items] == [None, None, None]
    assert answer.item_ids == ("i1", "i2", "i3")


async def test_rank_returns_the_callers_items_in_the_servers_order(client, gateway):
    """The order is the server's; limit 0 asks for all of them."""
    answer = await client.rank("u7", ["i1", "i2"])
    assert answer.item_ids == ("i2", "i1")
    assert gateway.requests[0].limit == 0


async def test_similar_returns_an_answer(client, gateway):
    """Similar items come back like any answer."""
    answer = await client.similar("i1", 5, exclude=["i3"], filters={"genres": ["Crime"]})
    assert answer.item_ids == ("i2",)
    assert gateway.requests[0].limit == 5


async def test_recorded_events_reach_the_server_whole(client, gateway):
    """Every field of an event arrives, and unset ones stay unset."""
    when = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
    rating = Event(user_id="u7", item_id="i1", type="rating", time=when, event_id="e1", request_id="r1", position=0, value=4.5)
    click = Event(user_id="u7", item_id="i2", type="click", time=when, event_id="e2")
    assert await client.record([rating, click]) == Receipt(recorded=2, duplicates=0)
    sent = gateway.events["e1"]
    assert (sent.user_id, sent.item_id, sent.type, sent.request_id, sent.position, sent.value) == ("u7", "i1", 3, "r1", 0, 4.5)
    assert sent.HasField("position")
    assert sent.time.ToDatetime(UTC) == when
    assert not gateway.events["e2"].HasField("position")
    assert not gateway.events["e2"].HasField("value")


async def test_an_event_sent_twice_keeps_its_id(client):
    """The client makes the id once, when the event is made, so that sending it again counts once."""
    event = Event(user_id="u7", item_id="i1", type="click")
    await client.record([event])
    assert await client.record([event]) == Receipt(recorded=0, duplicates=1)


async def test_a_stream_gives_one_receipt_per_batch(client, gateway):
    """Five events in batches of two come back as three receipts."""
    events = [Event(user_id="u7", item_id=f"i{k}", type="click") for k in range(5)]
    receipts = await client.receipts(events, batch_size=2)
    assert [receipt.recorded for receipt in receipts] == [2, 2, 1]
    assert len(gateway.events) == 5


async def test_an_empty_stream_gives_no_receipts(client):
    """Nothing to record is not an error."""
    assert await client.receipts([]) == []


async def test_a_stream_ends_with_the_callers_own_error(client, gateway):
    """What breaks inside the caller's events is raised as it is; batches before it stay recorded."""

    def events():
        yield Event(user_id="u7", item_id="i1", type="click")
        raise LookupError("my own")

    with pytest.raises(LookupError, match="my own"):
        await client.receipts(events(), batch_size=1)
    assert len(gateway.events) == 1


async def test_status_comes_back_typed(client):
    """Parts, models, catalogue and placements are plain values."""
    status = await client.status()
    assert status.ready
    assert [(part.part, part.ready) for part in status.parts] == [("torchserve", True)]
    assert status.release.models[0].backend == "onnxruntime"
    assert (status.catalogue.items, status.catalogue.columns) == (3, ("genres", "available"))
    assert status.placements[0].sources == ("retrieval", "popular")


async def test_an_erasure_comes_back_typed(client, gateway):
    """Done with what was removed where, or pending with the id to ask again with."""
    erasure = await client.forget("u7")
    assert erasure.done
    assert [(place.place, place.removed, place.left) for place in erasure.places] == [("events", 7, 0)]
    # Whoever forgets has patience unless told otherwise.
    assert gateway.seconds_left[-1] > 20
    gateway.ready = False
    pending = await client.erasure(erasure.erasure_id)
    assert (pending.erasure_id, pending.done, pending.detail) == ("e1", False, "no store")
    assert [request.user_id for request in gateway.requests[:1]] == ["u7"]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["u7"], {"limit": -1}, r"limit -1: must be a whole number, 0 to"),
        (["u7"], {"limit": 2**32}, r"limit 4294967296"),
        ([7], {}, r"user_id 7: must be text"),
        (["u\ud800"], {}, r"user_id .* is not valid Unicode"),
        (["u7"], {"exclude": "i1"}, r"exclude 'i1': must be a list"),
        (["u7"], {"filters": {"genres": "Drama"}}, r"filter genres 'Drama': must be a list"),
        (["u7"], {"timeout_s": 0}, r"timeout_s 0: must be above 0"),
    ],
)
async def test_what_the_contract_cannot_carry_is_refused_by_name(client, gateway, arguments, options, message):
    """A value no message can hold is an InvalidRequest naming it, and nothing is sent."""
    with pytest.raises(InvalidRequest, match=message):
        await client.recommend(*arguments, **options)
    assert not gateway.requests
