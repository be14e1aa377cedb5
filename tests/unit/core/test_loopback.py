"""What counts as this machine, for the gateway's side and for the client package."""

import banquet_client.loopback
import pytest

import banquet.core.loopback

TWINS = pytest.mark.parametrize("loopback", [banquet.core.loopback, banquet_client.loopback], ids=["banquet", "client"])


@TWINS
@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:7600",
        "127.8.9.10:7600",
        "localhost:7600",
        "LOCALHOST:7600",
        "localhost.:7600",
        "gateway.localhost:7600",
        "[::1]:7600",
        "[0:0:0:0:0:0:0:1]:7600",
        "[::ffff:127.0.0.1]:7600",
        "::1",
        "127.0.0.1",
        "localhost",
        "0.0.0.0:7600",
        "[::]:7600",
        "dns:localhost:7600",
        "dns:///127.0.0.1:7600",
        "dns://10.0.0.53/localhost:7600",
        "ipv4:127.0.0.1:7600,127.0.0.1:7601",
        "ipv6:%5B::1%5D:7600",
        "ipv6:[::1]:7600",
    ],
)
def test_loopback_is_asked_directly(loopback, target):
    """Every way to write it, with and without port, scheme and brackets."""
    assert loopback.channel_options(target) == (("grpc.enable_http_proxy", 0),)


@TWINS
@pytest.mark.parametrize(
    "target",
    [
        "gateway:7600",
        "gateway.example.com:7600",
        "localhost.example.com:7600",
        "notlocalhost:7600",
        "10.0.0.1:7600",
        "128.0.0.1:7600",
        "[2001:db8::1]:7600",
        "[fe80::1%eth0]:7600",
        "dns:///gateway:7600",
        "dns://127.0.0.1/gateway:7600",
        "ipv4:127.0.0.1:7600,10.0.0.1:7600",
        "dns:7600",
        "",
    ],
)
def test_every_other_address_has_the_proxies_of_the_environment(loopback, target):
    """gRPC decides, by its own variables."""
    assert loopback.channel_options(target) == ()
