"""Evaluation users of a gateway: a real gRPC server that says what it is told to."""

from __future__ import annotations

import grpc
import pytest
from banquet_client import AsyncBanquetClient

from banquet.app.evaluation import over_grpc
from banquet.app.evaluation.cases import Cases
from banquet.app.evaluation.over_grpc import GatewayUsers, gateway_users
from banquet.core.errors import BadSettings
from banquet.core.evaluation_users import is_evaluation_user
from banquet.training.datasets.synthetic import synthesize
from tests.contract.client.gateway import FakeGateway


@pytest.fixture(scope="module")
def cases() -> Cases:
    return Cases(synthesize(users=30, items=60, events=600, seed=3), 20, 5, placement="home", page_placement="detail")


async def test_as_many_users_as_there_are_ids_can_be_evaluated(cases, monkeypatch) -> None:
    """Two more than the users asked for are needed; one user more is refused before anything is sent."""
    with FakeGateway() as serving:
        monkeypatch.setattr(over_grpc, "MOST_USERS", len(cases.targets) + 2)
        async with gateway_users(serving.address, cases, lambda _: None):
            assert len({event.user_id for event in serving.events.values()}) == len(cases.targets) + 1
        assert serving.calls["ForgetUser"] == 1
        monkeypatch.setattr(over_grpc, "MOST_USERS", len(cases.targets) + 1)
        with pytest.raises(BadSettings, match=f"ask for at most {len(cases.targets) - 1}"):
            async with gateway_users(serving.address, cases, lambda _: None):
                pass
        assert serving.calls["ForgetUser"] == 1


async def test_a_gateway_that_is_busy_with_the_events_is_waited_for(cases) -> None:
    """Its answers are late while it takes the histories in; that is no reason to give up."""
    recorded: list[int] = []
    with FakeGateway() as serving:
        busy = {1: grpc.StatusCode.DEADLINE_EXCEEDED, 2: grpc.StatusCode.RESOURCE_EXHAUSTED}
        serving.fail_when = lambda: (busy[calls], "busy") if (calls := serving.calls["Recommend"]) in busy else None
        async with AsyncBanquetClient(serving.address) as client:
            await GatewayUsers(client, cases, 0).record(recorded.append)
        assert serving.calls["Recommend"] == 3
        assert all(is_evaluation_user(event.user_id) for event in serving.events.values())
    assert recorded[-1] == len(cases.targets)
