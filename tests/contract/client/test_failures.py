"""Deadlines, retries and errors."""

import socket
import time

import banquet_client as bc
import grpc
import pytest
from grpc import StatusCode

from tests.contract.client.gateway import FakeGateway

DOWN = (StatusCode.UNAVAILABLE, "draining")


async def test_an_unavailable_server_is_asked_again(client, gateway):
    """Two refusals cost two retries, not the answer."""
    gateway.failures.extend([DOWN, DOWN])
    assert (await client.recommend("u7")).request_id == "r1"
    assert gateway.calls["Recommend"] == 3


async def test_a_retried_record_sends_the_same_event_ids(client, gateway):
    """A batch that was refused goes out again unchanged, so that it counts once."""
    gateway.failures.append(DOWN)
    event = bc.Event(user_id="u7", item_id="i1", type="click")
    assert await client.record([event]) == bc.Receipt(recorded=1, duplicates=0)
    assert [request.events[0].event_id for request in gateway.requests] == [event.event_id] * 2


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (StatusCode.INVALID_ARGUMENT, bc.InvalidRequest),
        (StatusCode.OUT_OF_RANGE, bc.InvalidRequest),
        (StatusCode.NOT_FOUND, bc.NotFound),
        (StatusCode.UNAUTHENTICATED, bc.Unauthenticated),
        (StatusCode.PERMISSION_DENIED, bc.PermissionDenied),
        (StatusCode.RESOURCE_EXHAUSTED, bc.Overloaded),
        (StatusCode.DEADLINE_EXCEEDED, bc.DeadlineExceeded),
        (StatusCode.INTERNAL, bc.ServerFailed),
        (StatusCode.UNKNOWN, bc.ServerFailed),
        (StatusCode.UNIMPLEMENTED, bc.ServerFailed),
        (StatusCode.ABORTED, bc.ServerFailed),
    ],
)
async def test_other_errors_come_back_typed_and_are_not_retried(client, gateway, code, error):
    """Each status has its exception, with the server's message in it, after one call."""
    gateway.failures.append((code, "limit 0: must be 1 to 500"))
    with pytest.raises(error, match="limit 0: must be 1 to 500") as caught:
        await client.recommend("u7")
    assert isinstance(caught.value, bc.ClientError)
    assert gateway.calls["Recommend"] == 1


async def test_a_stream_fails_with_the_same_errors(client, gateway):
    """A refused batch raises the typed error, with the server's message in it."""
    gateway.failures.append((StatusCode.INVALID_ARGUMENT, "item_id: is empty"))
    with pytest.raises(bc.InvalidRequest, match="item_id: is empty"):
        await client.receipts([bc.Event(user_id="u7", item_id="", type="click")])


async def test_retries_end_with_the_deadline(client, gateway):
    """A server that stays unavailable is asked several times, but no longer than the caller waits."""
    gateway.failures.extend([DOWN] * 1000)
    started_s = time.monotonic()
    with pytest.raises(bc.Unavailable, match="draining"):
        await client.recommend("u7", timeout_s=0.2)
    assert time.monotonic() - started_s < 1
    assert gateway.calls["Recommend"] >= 2


async def test_retries_share_one_deadline(gateway, make_client):
    """The second try gets what the first and the pause left over."""
    gateway.failures.append(DOWN)
    async with make_client(gateway.address, timeout_s=2, backoff=bc.Backoff(initial_s=0.2)) as client:
        await client.recommend("u7")
    first_s, second_s = gateway.seconds_left
    assert second_s < first_s - 0.05


async def test_retries_can_be_turned_off(gateway, make_client):
    """With one try, the first refusal is the answer."""
    gateway.failures.append(DOWN)
    async with make_client(gateway.address, timeout_s=5, backoff=bc.Backoff(tries=1)) as client:
        with pytest.raises(bc.Unavailable):
            await client.recommend("u7")
    assert gateway.calls["Recommend"] == 1


async def test_a_slow_server_costs_the_deadline_and_no_more(client, gateway):
    """The call ends at its deadline, typed, and is not sent again."""
    gateway.delay_s = 5
    started_s = time.monotonic()
    with pytest.raises(bc.DeadlineExceeded, match=gateway.address):
        await client.recommend("u7", timeout_s=0.1)
    assert time.monotonic() - started_s < 1
    assert gateway.calls["Recommend"] == 1


async def test_every_call_has_a_deadline(gateway, make_client):
    """Without a word from the caller, a call has a second."""
    async with make_client(gateway.address) as client:
        await client.status()
    assert 0 < gateway.seconds_left[0] <= 1.01


async def test_a_refused_connection_names_the_address(make_client):
    """Nobody listening is Unavailable, and the text says where."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with make_client(f"127.0.0.1:{port}", timeout_s=0.2) as client:
        with pytest.raises(bc.Unavailable, match=f"127.0.0.1:{port} is unavailable"):
            await client.status()


async def test_a_server_that_comes_back_is_found_within_the_deadline(make_client):
    """A restart of the gateway costs a caller who can wait nothing but time."""
    with FakeGateway() as first:
        port = first.port
        client = await make_client(first.address, timeout_s=5).__aenter__()
        await client.status()
    with pytest.raises(bc.Unavailable):
        await client.status(timeout_s=0.1)
    with FakeGateway(port=port):
        assert (await client.status()).ready
    await client.__aexit__(None, None, None)


async def test_metadata_travels_with_every_call(gateway, make_client):
    """Calls and streams carry the caller's metadata."""
    async with make_client(gateway.address, timeout_s=5, metadata={"Authorization": "Bearer x"}) as client:
        await client.status()
        await client.receipts([bc.Event(user_id="u7", item_id="i1", type="click")])
    assert [sent["authorization"] for sent in gateway.metadata] == ["Bearer x"] * 2


async def test_a_tls_server_is_reached_with_its_certificate(make_client, request):
    """With the certificate to trust, the call goes through; the name in it may differ from the address."""
    folder = request.path.parent / "tls"
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    with FakeGateway(credentials) as server:
        async with make_client(server.address, timeout_s=5, tls=bc.Tls(ca=certificate, server_name="localhost")) as client:
            assert (await client.status()).ready
        async with make_client(server.address, timeout_s=0.3, tls=bc.Tls(server_name="localhost")) as stranger:
            with pytest.raises(bc.Unavailable):
                await stranger.status()
