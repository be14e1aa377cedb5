"""`banquet forget`: remove a person from everywhere, and prove it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from banquet.app.commands import gateway
from banquet.app.commands.gateway import DEFAULT_ADDRESS

if TYPE_CHECKING:
    from banquet_client import Erasure

PATIENCE_MS = 30_000


def forget(
    user: Annotated[str, typer.Argument(help="Whom to forget.")] = "",
    *,
    erasure_id: Annotated[str, typer.Option("--id", help="How far an earlier erasure is, by the id it was given.")] = "",
    address: gateway.Address = DEFAULT_ADDRESS,
    timeout_ms: gateway.TimeoutMs = PATIENCE_MS,
    as_json: gateway.Json = False,
) -> None:
    """Remove a person from the event log, the stores, the served log and the training tables; exits with 1 while it is not done.

    What was asked for is carried out whatever happens, also when this command does not wait for it.
    """
    if bool(user) == bool(erasure_id):
        raise typer.BadParameter("needs a user, or --id alone")
    with gateway.connected(address, timeout_ms) as client:
        found = client.erasure(erasure_id) if erasure_id else client.forget(user, timeout_s=timeout_ms / 1000)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        _show(found)
    if not found.done:
        raise typer.Exit(gateway.EXIT_FAILED)


def _show(found: Erasure) -> None:
    from rich.table import Table

    from banquet.app.tables import show

    table = Table("place", "removed", "found afterwards", title=f"Erasure {found.erasure_id}", title_justify="left")
    for place in found.places:
        table.add_row(place.place, f"{place.removed:,}", f"{place.left:,}" if found.done else "")
    show(table)
    if not found.done:
        why = f" ({found.detail})" if found.detail else ""
        typer.echo(f"not done yet{why}; it goes on by itself, ask with: banquet forget --id {found.erasure_id}")
