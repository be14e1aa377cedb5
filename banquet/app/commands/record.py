"""`banquet record`: tell a running gateway what users did."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banquet.app.commands import gateway
from banquet.app.commands.gateway import DEFAULT_ADDRESS, DEFAULT_TIMEOUT_MS

if TYPE_CHECKING:
    from banquet_client import BanquetClient, Event, Receipt


def record(
    *,
    user: Annotated[str, typer.Option(help="Who did it.")] = "",
    item: Annotated[str, typer.Option(help="To which item.")] = "",
    kind: Annotated[str, typer.Option("--type", help="impression, click, rating or purchase.")] = "click",
    value: Annotated[float | None, typer.Option(help="The rating, or the amount of a purchase.")] = None,
    request_id: Annotated[str, typer.Option(help="The answer the item was shown in.")] = "",
    position: Annotated[int | None, typer.Option(min=0, help="The item's position in that answer, from 0.")] = None,
    event_id: Annotated[
        str, typer.Option(help="Makes the event count once however often it is sent; a new one when left out.")
    ] = "",
    file: Annotated[
        Path | None, typer.Option(help="JSON lines with these fields (user_id, item_id, type, time, ...) instead.")
    ] = None,
    address: gateway.Address = DEFAULT_ADDRESS,
    timeout_ms: gateway.TimeoutMs = DEFAULT_TIMEOUT_MS,
    as_json: gateway.Json = False,
) -> None:
    """Record what users did; returns when it is durable."""
    one = bool(user and item)
    if (file is None) != one or (file and (user or item)):
        raise typer.BadParameter("needs --user and --item, or --file alone")
    from banquet.app.commands.events_file import read_events, to_event

    given = {
        "user_id": user,
        "item_id": item,
        "type": kind,
        "value": value,
        "request_id": request_id,
        "position": position,
        "event_id": event_id or None,
    }
    events = read_events(file) if file else [to_event(given)]
    with gateway.connected(address, timeout_ms) as client:
        receipt = _send(client, events)
    if as_json:
        gateway.print_json(receipt)
    else:
        typer.echo(f"recorded {receipt.recorded}, known already {receipt.duplicates}")


def _send(client: BanquetClient, events: list[Event]) -> Receipt:
    """Sends in batches of what one call may hold; a failure says how far it came."""
    from banquet_client import MAX_EVENTS_PER_BATCH, ClientError, Receipt

    recorded = duplicates = 0
    for start in range(0, len(events), MAX_EVENTS_PER_BATCH):
        try:
            receipt = client.record(events[start : start + MAX_EVENTS_PER_BATCH])
        except ClientError as error:
            raise type(error)(f"{_of_all(str(error), start)} (the first {start} of {len(events)} events are recorded)") from error
        recorded += receipt.recorded
        duplicates += receipt.duplicates
    return Receipt(recorded, duplicates)


def _of_all(refusal: str, start: int) -> str:
    """A refusal that counts events within a batch, counting from the first of all."""
    return re.sub(r"^events\[(\d+)\]", lambda found: f"events[{start + int(found[1])}]", refusal)
