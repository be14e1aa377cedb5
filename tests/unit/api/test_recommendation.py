"""Over a real gRPC channel: bad requests are refused with field, value and range; good ones are answered."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from banquet.api.admission import Admission
from banquet.api.limits import TRANSPORT_MESSAGE_BYTES
from banquet.api.recommendation import Recommendation
from banquet.api.status import Guard, Methods
from banquet.core.errors import BadRequest
from banquet.core.ids import KeyTypes
from banquet.core.pipeline import Pipeline
from banquet.core.query import UserFeatures
from banquet.stages.filters.attributes import Attributes
from banquet.stages.selectors.top_k import TopK
from banquet.stages.sources.given import Given
from banquet.stages.sources.popular import Popular
from banquet.v1 import recommendation_pb2 as pb
from banquet.v1 import recommendation_pb2_grpc as rpc
from tests.fakes import FakeScorer, FakeSink, FakeUsers, OneRelease, make_catalogue

SINK = FakeSink()
USERS = FakeUsers({"u1": UserFeatures("u1", {}, ("i1",), found=True)})


def guarded(server: grpc.aio.Server) -> Methods:
    return Methods(server, Guard(Admission(8, "calls"), Admission(1, "streams")))


@pytest.fixture
async def stub() -> AsyncIterator[rpc.RecommendationServiceStub]:
    users = USERS
    home = Pipeline("home", users, [Popular(10)], None, [Attributes()], FakeScorer(), TopK(), [SINK])
    rank = Pipeline("rank", users, [Given()], None, [], FakeScorer(), TopK())
    similar = Pipeline("similar", None, [Popular(10)], None, [], None, TopK(), [SINK])
    catalogue = make_catalogue()
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", TRANSPORT_MESSAGE_BYTES)])
    releases = OneRelease({"home": home}, rank, similar)
    rpc.add_RecommendationServiceServicer_to_server(Recommendation(releases, lambda: catalogue, 0.5), guarded(server))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield rpc.RecommendationServiceStub(channel)
    await server.stop(None)


async def test_similar_items_may_say_for_whom(stub: rpc.RecommendationServiceStub) -> None:
    """So that release and served log know the user, without whom the items are the same."""
    known = await stub.SimilarItems(pb.SimilarItemsRequest(item_id="i1", limit=3, user_id="u7"))
    nobody = await stub.SimilarItems(pb.SimilarItemsRequest(item_id="i1", limit=3))
    assert known.items == nobody.items
    # Sinks are told of an answer after it was sent.
    await asyncio.sleep(0.1)
    assert [answer.query.user_id for answer in SINK.answers[-2:]] == ["u7", ""]


async def test_the_context_reaches_the_reader_of_users(stub: rpc.RecommendationServiceStub) -> None:
    """For composite keys and on-demand features; oversized values are refused by name."""
    context = pb.QueryContext(values={"shop_id": "north"})
    await stub.Recommend(pb.RecommendRequest(user_id="u1", placement="home", limit=1, context=context))
    assert USERS.contexts[-1] == {"shop_id": "north"}
    with pytest.raises(grpc.aio.AioRpcError, match=r"context.values\['hour'\].*allowed: 1 to 256 bytes"):
        await stub.RankItems(
            pb.RankItemsRequest(user_id="u1", item_ids=["i1"], context=pb.QueryContext(values={"hour": "9" * 300}))
        )


async def test_recommend_answers_best_first_and_tells_the_sinks(stub: rpc.RecommendationServiceStub) -> None:
    """Items come by ranking score, explained when asked for; sinks see the answer afterwards."""
    SINK.answers.clear()
    SINK.told.clear()
    request = pb.RecommendRequest(user_id="u1", placement="home", limit=2, explain=True)
    answer = await stub.Recommend(request)
    assert [item.item_id for item in answer.items] == ["i8", "i7"]
    assert answer.items[0].source == "popular"
    assert answer.items[0].explanation.attributes["genres"] == "Comedy"
    assert answer.items[0].explanation.ranking_score == 8.0
    assert answer.info.catalogue_version == "0123456789abcdef"
    assert not answer.info.degradations
    await asyncio.wait_for(SINK.told.wait(), 1)
    assert [told.query.request_id for told in SINK.answers] == [answer.request_id]


async def test_rank_items_ranks_the_callers_own(stub: rpc.RecommendationServiceStub) -> None:
    """All of them by default; unknown ones are left out and reported."""
    answer = await stub.RankItems(pb.RankItemsRequest(user_id="u1", item_ids=["i2", "nope", "i5"]))
    assert [item.item_id for item in answer.items] == ["i5", "i2"]
    assert ("given", "unknown_items") in [(d.stage, d.reason) for d in answer.info.degradations]


BAD = {
    "empty user": (pb.RecommendRequest(placement="home", limit=1), "user_id '' has 0 bytes; allowed: 1 to 256"),
    "long user": (pb.RecommendRequest(user_id="x" * 10_000, placement="home", limit=1), "has 10000 bytes; allowed: 1 to 256"),
    "limit 0": (pb.RecommendRequest(user_id="u", placement="home"), "limit is 0; allowed: 1 to 500"),
    "limit 100000": (pb.RecommendRequest(user_id="u", placement="home", limit=100_000), "limit is 100000; allowed: 1 to 500"),
    "placement": (
        pb.RecommendRequest(user_id="u", placement="attic", limit=1),
        "placement 'attic' is not configured; allowed: home",
    ),
    "excluded": (
        pb.RecommendRequest(user_id="u", placement="home", limit=1, exclude_item_ids=["i"] * 100_000),
        "number of exclude_item_ids is 100000; allowed: 0 to 10000",
    ),
    "attribute": (
        pb.RecommendRequest(
            user_id="u", placement="home", limit=1, filters=[pb.AttributeFilter(attribute="hue", values=["red"])]
        ),
        "filters.attribute 'hue' is not in the catalogue; allowed: available, genres",
    ),
    "not a number": (
        pb.RecommendRequest(
            user_id="u", placement="home", limit=1, filters=[pb.AttributeFilter(attribute="year", values=["old"])]
        ),
        "filters.values 'old' of 'year' is not a number; allowed: numbers, true, false",
    ),
    "no values": (
        pb.RecommendRequest(user_id="u", placement="home", limit=1, filters=[pb.AttributeFilter(attribute="genres")]),
        "number of values of filter 'genres' is 0; allowed: 1 to 100",
    ),
    "large": (
        pb.RecommendRequest(user_id="u", placement="home", limit=1, exclude_item_ids=["i" * 1_000_000] * 3),
        "allowed: 0 to 2097152 bytes",
    ),
}


@pytest.mark.parametrize(("request_", "message"), BAD.values(), ids=BAD.keys())
async def test_bad_requests_name_field_value_and_range(
    stub: rpc.RecommendationServiceStub, request_: pb.RecommendRequest, message: str
) -> None:
    """INVALID_ARGUMENT with a message one can act on."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Recommend(request_)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert message in (caught.value.details() or "")


NUMBERS = KeyTypes("INT64", "INT64")
NO_KEYS = {
    "user": (pb.RecommendRequest(user_id="007", placement="home", limit=1), "user_id '007' is not how the id is spelled"),
    "page item": (
        pb.RecommendRequest(user_id="7", placement="home", limit=1, context=pb.QueryContext(item_id="1_0")),
        "context.item_id '1_0' is no id",
    ),
    "excluded": (
        pb.RecommendRequest(user_id="7", placement="home", limit=1, exclude_item_ids=["1", "01"]),
        "exclude_item_ids[1] '01' is not how the id is spelled: the repo's key is a whole number of 64 bits; write '1'",
    ),
    "ranked user": (pb.RankItemsRequest(user_id="abc", item_ids=["1"]), "user_id 'abc' is no id"),
    "ranked": (
        pb.RankItemsRequest(user_id="7", item_ids=["1", "99999999999999999999"]),
        "item_ids[1] '99999999999999999999' is too large",
    ),
    "similar": (pb.SimilarItemsRequest(item_id="i1", limit=1), "item_id 'i1' is no id"),
    "similar excluded": (pb.SimilarItemsRequest(item_id="1", limit=1, exclude_item_ids=["+1"]), "exclude_item_ids[0] '+1'"),
}


@pytest.mark.parametrize(("request_", "message"), NO_KEYS.values(), ids=NO_KEYS.keys())
async def test_ids_are_spelled_as_the_repos_keys(request_: Any, message: str) -> None:
    """Where these are whole numbers, "007" is refused with the field and what to write."""
    service = Recommendation(OneRelease({}, None, None), make_catalogue, 0.5, lambda: NUMBERS)
    methods = {
        pb.RecommendRequest: service.Recommend,
        pb.RankItemsRequest: service.RankItems,
        pb.SimilarItemsRequest: service.SimilarItems,
    }
    with pytest.raises(BadRequest) as caught:
        await methods[type(request_)](request_, SimpleNamespace(time_remaining=lambda: 1.0))
    assert message in str(caught.value)


async def test_a_catalogue_that_is_not_there_yet_is_unavailable() -> None:
    """Before the first catalogue there is nothing to answer with; the caller may try again."""
    service = Recommendation(OneRelease({}, None, None), lambda: None, 0.5)
    server = grpc.aio.server()
    rpc.add_RecommendationServiceServicer_to_server(service, guarded(server))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rpc.RecommendationServiceStub(channel).Recommend(pb.RecommendRequest(user_id="u", placement="home", limit=1))
    await server.stop(None)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_explaining_thousands_of_items_is_refused(stub: rpc.RecommendationServiceStub) -> None:
    """Explanations are for people; a page of them must not keep everybody else waiting."""
    request = pb.RankItemsRequest(user_id="u", item_ids=[f"i{k}" for k in range(600)], explain=True)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.RankItems(request)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "limit of an explained answer is 600; allowed: 1 to 500" in (caught.value.details() or "")
