"""`banquet recommend`, `rank` and `similar`: ask a running gateway."""

from typing import Annotated

import typer

from banquet.app.commands import gateway
from banquet.app.commands.gateway import DEFAULT_ADDRESS, DEFAULT_TIMEOUT_MS


def recommend(
    *,
    user: Annotated[str, typer.Option(help="Who the items are for.")],
    placement: Annotated[str, typer.Option(help="Where they are shown.")] = "home",
    limit: gateway.Limit = 10,
    item: Annotated[str, typer.Option(help="The item on the page, for placements such as `detail`.")] = "",
    exclude: gateway.Exclude = None,
    filters: gateway.Filters = None,
    explain: gateway.Explain = False,
    address: gateway.Address = DEFAULT_ADDRESS,
    timeout_ms: gateway.TimeoutMs = DEFAULT_TIMEOUT_MS,
    as_json: gateway.Json = False,
) -> None:
    """Show what a user should see at a placement."""
    wanted = gateway.attribute_filters(filters)
    with gateway.connected(address, timeout_ms) as client:
        answer = client.recommend(
            user,
            placement,
            limit,
            item_id=item,
            exclude=gateway.several(exclude),
            filters=wanted,
            explain=explain or not as_json,
        )
    gateway.print_answer(answer, f"For {user} at {placement}", as_json=as_json, explain=explain)


def rank(
    *,
    user: Annotated[str, typer.Option(help="Who the items are ranked for.")],
    items: Annotated[list[str], typer.Option(help="The items to rank: several with commas; repeatable.")],
    limit: Annotated[int, typer.Option(min=0, help="How many to return; 0 for all of them.")] = 0,
    item: Annotated[str, typer.Option(help="The item on the page, if any.")] = "",
    explain: gateway.Explain = False,
    address: gateway.Address = DEFAULT_ADDRESS,
    timeout_ms: gateway.TimeoutMs = DEFAULT_TIMEOUT_MS,
    as_json: gateway.Json = False,
) -> None:
    """Rank given items for a user."""
    with gateway.connected(address, timeout_ms) as client:
        answer = client.rank(user, gateway.several(items), limit=limit, item_id=item, explain=explain or not as_json)
    gateway.print_answer(answer, f"Ranked for {user}", as_json=as_json, explain=explain)


def similar(
    *,
    item: Annotated[str, typer.Option(help="The item to start from.")],
    limit: gateway.Limit = 10,
    exclude: gateway.Exclude = None,
    filters: gateway.Filters = None,
    explain: gateway.Explain = False,
    address: gateway.Address = DEFAULT_ADDRESS,
    timeout_ms: gateway.TimeoutMs = DEFAULT_TIMEOUT_MS,
    as_json: gateway.Json = False,
) -> None:
    """Show the items nearest to an item."""
    wanted = gateway.attribute_filters(filters)
    with gateway.connected(address, timeout_ms) as client:
        answer = client.similar(item, limit, exclude=gateway.several(exclude), filters=wanted, explain=explain or not as_json)
    gateway.print_answer(answer, f"Similar to {item}", as_json=as_json, explain=explain)
