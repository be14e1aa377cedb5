"""DynamoDB that looks up only some of the keys it is asked for (it is throttling) says so; Feast's reader does not listen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Throttled(Exception):
    """Some keys were not looked up; to take them for missing ones would be silent."""


def heed_unprocessed(store: Any) -> None:
    """Have Feast's DynamoDB store raise `Throttled` where it would answer NOT_FOUND of keys that nobody looked up.

    Other stores stay as they are.
    """
    if any(kind.__name__ == "DynamoDBOnlineStore" for kind in type(store).__mro__):
        store._process_batch_get_response = _heeding(store._process_batch_get_response)  # noqa: SLF001 - where its answers pass


def _heeding(process: Callable[..., Any]) -> Callable[..., Any]:
    def heed(table: str, response: Mapping[str, Any], *rest: Any, **options: Any) -> Any:
        if left := response.get("UnprocessedKeys"):
            count = sum(len(keys.get("Keys", ())) for keys in left.values())
            raise Throttled(f"table {table} is throttled: {count} keys were not looked up; give it more read capacity")
        return process(table, response, *rest, **options)

    return heed
