"""Features from Feast's own SDK, as its documentation shows: one store, one call for the user, one batched call for the items."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from feast import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from banquet.wire.schema import Feature, FeatureSchema

    Rows = dict[str, list[Any]]


class FeastFeatures:
    """Asks for what the release's models take and no more. Calls run in a thread, so that the event loop goes on."""

    def __init__(self, repo: Path, schema: FeatureSchema) -> None:
        self._store = FeatureStore(repo_path=str(repo))
        self._user = _references(schema.user, "user_activity:history")
        self._item = _references(schema.item, "item_profile:available")

    async def user(self, user_id: str) -> Rows:
        return await asyncio.to_thread(self._read, self._user, [{"user_id": user_id}])

    async def items(self, item_ids: Sequence[str]) -> Rows:
        return await asyncio.to_thread(self._read, self._item, [{"item_id": item} for item in item_ids])

    def _read(self, references: list[str], entities: list[dict[str, Any]]) -> Rows:
        rows: Rows = self._store.get_online_features(features=references, entity_rows=entities).to_dict()
        return rows


def _references(features: Iterable[Feature], *others: str) -> list[str]:
    named = [f"{feature.view}:{feature.name}" for feature in features]
    return named + [other for other in others if other not in named]
