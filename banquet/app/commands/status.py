"""`banquet status`: what a running gateway has loaded."""

import typer

from banquet.app.commands import gateway
from banquet.app.commands.gateway import DEFAULT_ADDRESS, DEFAULT_TIMEOUT_MS


def status(
    *,
    address: gateway.Address = DEFAULT_ADDRESS,
    timeout_ms: gateway.TimeoutMs = DEFAULT_TIMEOUT_MS,
    as_json: gateway.Json = False,
) -> None:
    """Show releases, catalogue, placements and the readiness of each part; exits with 1 when the gateway is not ready."""
    with gateway.connected(address, timeout_ms) as client:
        found = client.status()
    if as_json:
        gateway.print_json(found)
    else:
        from banquet.app.tables import show, status_tables

        show(*status_tables(found))
    if not found.ready:
        raise typer.Exit(gateway.EXIT_FAILED)
