"""Clients in an environment that names proxies, against a real server and a real proxy."""

import banquet_client as bc
import pytest


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "dns:///localhost"])
async def test_a_gateway_on_this_machine_is_asked_directly(proxy, gateway, make_client, host):
    """The proxy is never asked, for calls and for streams."""
    async with make_client(f"{host}:{gateway.port}", timeout_s=5) as client:
        assert (await client.status()).ready
        assert len(await client.receipts([bc.Event(user_id="u7", item_id="i1", type="click")])) == 1
    assert proxy.asked == []


async def test_a_gateway_elsewhere_is_asked_through_the_proxy(proxy, gateway, make_client):
    """As the environment says; the proxy alone knows the name."""
    proxy.upstream = gateway.port
    async with make_client("gateway.example:7600", timeout_s=5) as client:
        assert (await client.status()).ready
    assert proxy.asked == ["CONNECT gateway.example:7600 HTTP/1.1"]


async def test_no_proxy_is_respected(proxy, gateway, make_client, monkeypatch):
    """A host that the environment excepts is looked up as usual, and is not there."""
    proxy.upstream = gateway.port
    monkeypatch.setenv("no_proxy", "example")
    async with make_client("gateway.example:7600", timeout_s=0.3) as client:
        with pytest.raises((bc.Unavailable, bc.DeadlineExceeded)):
            await client.status()
    assert proxy.asked == []
