"""The main job through the client: recommendations that follow what the user did, whatever is missing."""

from __future__ import annotations

import json
import time
import urllib.request

import grpc
import pyarrow.parquet as pq
import pytest
from banquet_client import BanquetClient, Event, InvalidRequest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.e2e.conftest import Served, banquet


def known_users(served: Served) -> list[str]:
    return pq.read_table(served.folder / "var/data/users.parquet", columns=["user_id"])["user_id"].to_pylist()


def test_home_is_ranked_by_the_models(client: BanquetClient, served: Served) -> None:
    """Known users get whole answers from the release, on the backend for CPUs, and different users different ones."""
    answers = [client.recommend(user, placement="home", limit=10) for user in known_users(served)[:5]]
    for answer in answers:
        assert answer.degradations == ()
        assert len(answer.item_ids) == len(set(answer.item_ids)) == 10
        assert answer.release
        assert {timing.backend for timing in answer.timings if timing.backend} == {"onnxruntime"}
        scores = [item.score for item in answer.items]
        assert scores == sorted(scores, reverse=True)
    assert len({answer.item_ids for answer in answers}) > 1


def test_detail_starts_from_the_item_on_the_page(client: BanquetClient, served: Served) -> None:
    """The item itself is not shown, and items like it are among the candidates."""
    user = known_users(served)[0]
    anchor = client.recommend(user, placement="home", limit=1).item_ids[0]
    answer = client.recommend(user, placement="detail", limit=10, item_id=anchor)
    assert answer.degradations == ()
    assert anchor not in answer.item_ids
    assert "similar" in {item.source for item in answer.items}


def test_an_unknown_user_gets_popular_items(client: BanquetClient) -> None:
    """Never an error: the reserve answers and the answer says why."""
    answer = client.recommend("never-seen-before", placement="home", limit=5)
    assert len(answer.items) == 5
    assert {item.source for item in answer.items} == {"popular"}
    assert ("users", "unknown_user") in [(d.stage, d.reason) for d in answer.degradations]
    assert ("cascade", "empty_history") in [(d.stage, d.reason) for d in answer.degradations]


def test_exclusions_and_filters_hold(client: BanquetClient, served: Served) -> None:
    """Nothing excluded comes back, and every item has the attribute asked for."""
    user = known_users(served)[1]
    first = client.recommend(user, placement="home", limit=5, explain=True)
    genre = first.items[0].explanation.attributes["genres"].split("|")[0]
    answer = client.recommend(user, placement="home", limit=5, exclude=first.item_ids, filters={"genres": [genre]}, explain=True)
    assert not set(answer.item_ids) & set(first.item_ids)
    assert all(genre in item.explanation.attributes["genres"].split("|") for item in answer.items)


def test_rank_and_similar(client: BanquetClient, served: Served) -> None:
    """The caller's own candidates come back ranked; an item has neighbours that are not itself."""
    user = known_users(served)[2]
    items = client.recommend(user, placement="home", limit=5).item_ids
    ranked = client.rank(user, [*reversed(items)])
    assert sorted(ranked.item_ids) == sorted(items)
    assert ranked.degradations == ()
    near = client.similar(items[0], limit=5)
    assert len(near.items) == 5
    assert items[0] not in near.item_ids


def test_a_click_changes_the_next_answer(client: BanquetClient, served: Served) -> None:
    """A recorded click reaches the user's history through Feast: the item is seen, and the list is another one."""
    user = known_users(served)[3]
    before = client.recommend(user, placement="home", limit=10)
    clicked = before.item_ids[0]
    event = Event(user_id=user, item_id=clicked, type="click", request_id=before.request_id, position=0)
    assert client.record([event]).recorded == 1
    assert client.record([event]).duplicates == 1
    began_s = time.monotonic()
    after = before
    while clicked in after.item_ids and time.monotonic() - began_s < 10:
        time.sleep(0.05)
        after = client.recommend(user, placement="home", limit=10)
    assert clicked not in after.item_ids
    assert after.item_ids != before.item_ids[1:] + after.item_ids[-1:] or after.item_ids != before.item_ids


def test_health_and_reflection(served: Served) -> None:
    """Health says SERVING, and reflection lists the services."""
    with grpc.insecure_channel(served.address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)
        assert check.status == health_pb2.HealthCheckResponse.SERVING
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        answer = next(reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]), timeout=2))
    names = {service.name for service in answer.list_services_response.service}
    assert {"banquet.v1.RecommendationService", "banquet.v1.FeedbackService", "grpc.health.v1.Health"} <= names


def test_status_names_every_part(client: BanquetClient) -> None:
    """Every part is ready, and every model says which backend runs it."""
    status = client.status()
    assert status.ready
    assert {model.model: model.backend for model in status.release.models} == dict.fromkeys(
        ["cascade", "ranking", "retrieval"], "onnxruntime"
    )
    assert {placement.placement for placement in status.placements} == {"home", "detail"}
    assert [(one.version, one.state, one.percent) for one in status.releases] == [(status.release.version, "stable", 100)]


def test_metrics_count_answers_by_placement_and_degradations_by_reason(client: BanquetClient, served: Served) -> None:
    """Prometheus finds what it needs on the loopback port of each gateway."""
    for _ in range(20):
        client.recommend("never-seen-before", placement="home", limit=1)
    ports = [served.metrics_port, served.metrics_port + 1]
    pages = [urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2).read().decode() for port in ports]
    text = "\n".join(pages)
    assert 'banquet_answers_total{placement="home"' in text
    assert 'banquet_degradations_total{placement="home",reason="unknown_user",stage="users"}' in text
    assert 'banquet_model_seconds_bucket{backend="onnxruntime"' in text


def test_gateways_share_one_port(served: Served) -> None:
    """New connections reach both processes: each of them counts answers."""
    for _ in range(40):
        with BanquetClient(served.address, timeout_s=2.0) as fresh:
            fresh.recommend("never-seen-before", placement="home", limit=1)
    assert len(served.find("banquet.app.gateway")) == 2
    for port in (served.metrics_port, served.metrics_port + 1):
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2).read().decode()
        assert 'banquet_answers_total{placement="home"' in page


def test_the_served_log_has_what_the_models_saw(client: BanquetClient, served: Served) -> None:
    """Each answer's request, features, candidates and picks are written down."""
    answer = client.recommend(known_users(served)[4], placement="home", limit=3)
    began_s = time.monotonic()
    found: list[dict] = []
    while not found and time.monotonic() - began_s < 10:
        time.sleep(0.2)
        rows = (row for path in (served.folder / "var/served").glob("*/*.parquet") for row in pq.read_table(path).to_pylist())
        found = [row for row in rows if row["request_id"] == answer.request_id]
    shown = sorted((item["position"], item["item_id"]) for item in found[0]["candidates"] if item["position"] is not None)
    assert [item_id for _, item_id in shown] == list(answer.item_ids)
    assert found[0]["history"]
    assert found[0]["user"]["interaction_count"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["recommend", "--user", "u", "--placement", "attic"], "allowed: detail, home"),
        (["recommend", "--user", "x" * 10_000], "user_id"),
        (["recommend", "--user", "u", "--limit", "100000"], "limit is 100000; allowed: 1 to 500"),
        (["recommend", "--user", "u", "--filter", "hue=red"], "filters.attribute 'hue' is not in the catalogue"),
        (["record", "--user", "u", "--item", "i", "--type", "stare"], "stare"),
    ],
)
def test_bad_input_ends_with_exit_code_2_and_one_line(served: Served, arguments: list[str], message: str) -> None:
    """The message names field, value and what is allowed; there is never a traceback."""
    done = banquet(served.folder, *arguments, "--address", served.address)
    assert done.returncode == 2
    assert message in " ".join((done.stderr + done.stdout).split())
    assert "Traceback" not in done.stderr


def test_bad_requests_leave_the_server_well(client: BanquetClient) -> None:
    """After a refused request the next one is answered."""
    with pytest.raises(InvalidRequest):
        client.recommend("u", placement="home", limit=0)
    assert client.recommend("never-seen-before", placement="home", limit=1).items


def test_the_command_line_prints_tables_and_json(served: Served) -> None:
    """People get a table with a title, programs a JSON object."""
    user = known_users(served)[0]
    table = banquet(served.folder, "recommend", "--user", user, "--limit", "3", "--address", served.address)
    assert user in table.stdout
    done = banquet(served.folder, "recommend", "--user", user, "--limit", "3", "--address", served.address, "--json")
    assert len(json.loads(done.stdout)["items"]) == 3
