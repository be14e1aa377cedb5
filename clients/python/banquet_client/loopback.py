"""Loopback addresses: this machine is asked directly, whatever proxies the environment names."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from urllib.parse import unquote

_SCHEME = re.compile(r"(dns|ipv4|ipv6):")
# gRPC takes a proxy from grpc_proxy, https_proxy or http_proxy for every address that no_proxy does not list, loopback included.
DIRECT = (("grpc.enable_http_proxy", 0),)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or address; 0.0.0.0 and :: are, for whoever connects to them."""
    name = host.strip("[]").partition("%")[0].rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified


def channel_options(target: str) -> tuple[tuple[str, int], ...]:
    """The options of a gRPC channel that keep a loopback target from a proxy; none for any other target."""
    addresses = _SCHEME.sub("", unquote(target).rpartition("/")[2], count=1).split(",")
    return DIRECT if all(is_loopback(_host(address)) for address in addresses) else ()


def _host(address: str) -> str:
    if address.startswith("["):
        return address.partition("]")[0]
    return address if address.count(":") > 1 else address.partition(":")[0]
