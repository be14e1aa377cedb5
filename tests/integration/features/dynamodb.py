"""Feast's own DynamoDB store over a stand-in for AWS' client libraries, which do not fit beside what Banquet needs."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import pytest


class Table:
    """What the client answers: rows by entity id, as DynamoDB writes them, and which ids it does not get round to."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.throttled: set[str] = set()

    async def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - AWS' name
        ((table, wanted),) = RequestItems.items()
        ids = [key["entity_id"]["S"] for key in wanted["Keys"]]
        left = [{"entity_id": {"S": one}} for one in ids if one in self.throttled]
        found = [self.rows[one] for one in ids if one in self.rows and one not in self.throttled]
        return {"Responses": {table: found}, "UnprocessedKeys": {table: {"Keys": left}} if left else {}}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


class Anything:
    """Takes every argument; attributes are more of it."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def deserialize(self, value: Any) -> Any:
        return value


def stand_in(monkeypatch: pytest.MonkeyPatch) -> Self:
    """Let `feast.infra.online_stores.dynamodb` be imported; its client is the table given back."""
    table = Table()

    class Session:
        def create_client(self, *_: object, **__: object) -> Self:
            return table

    contents: dict[str, dict[str, Any]] = {
        "boto3": {},
        "boto3.dynamodb": {},
        "boto3.dynamodb.types": {"TypeDeserializer": Anything},
        "aiobotocore": {},
        "aiobotocore.config": {"AioConfig": Anything},
        "aiobotocore.session": {"get_session": Session},
        "botocore": {},
        "botocore.config": {"Config": Anything},
        "botocore.exceptions": {"ClientError": Exception, "ConnectionClosedError": Exception},
    }
    for name, body in contents.items():
        module = ModuleType(name)
        module.__dict__.update(body)
        monkeypatch.setitem(sys.modules, name, module)
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)
    for name in ("feast.infra.online_stores.dynamodb", "feast.infra.utils.aws_utils"):
        # Whatever imports them meanwhile is forgotten afterwards.
        monkeypatch.delitem(sys.modules, name, raising=False)
    return table
