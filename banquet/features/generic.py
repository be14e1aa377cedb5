"""Users from any online store, through Feast's own `online_read`. For stores that Banquet has no reader of its own for."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

from feast import FeatureStore
from feast.infra.key_encoding_utils import deserialize_entity_key

from banquet.core.errors import StageFailed
from banquet.features.encoding import BadValue
from banquet.features.user_rows import UserRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    from banquet.core.query import UserFeatures
    from banquet.features.layout import LayoutFile, View
    from banquet.features.repo import FeatureRepo
    from banquet.features.user_rows import Cell

_Row: TypeAlias = "tuple[datetime | None, dict[str, Value] | None]"
_EPOCH = datetime.fromtimestamp(0, UTC)


class FeastUsers:
    """A `UserStore` on Feast's online store classes: one `online_read` per view and round, in a thread where the store has no
    asynchronous one. A user is found when any view has a time or a value for it.
    """

    def __init__(self, repo: FeatureRepo, layout: LayoutFile) -> None:
        self._feast = FeatureStore(repo_path=str(repo.folder), fs_yaml_file=repo.yaml)
        self._store = self._feast._get_provider().online_store  # noqa: SLF001 - Feast has no public way to it
        self._asynchronous: bool = self._store.async_supported.read
        self._layout = layout
        # One thread: not every store's connection may be shared.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feast-reads")

    async def fetch(self, user_ids: Sequence[str]) -> list[UserFeatures | StageFailed]:
        rows = UserRows(self._layout.current())
        keys = {user_id: key for user_id in user_ids if (key := _entity_key(rows, user_id)) is not None}
        try:
            answers = [await self._read(view, list(keys.values())) for view in rows.views] if keys else []
        except Exception as error:
            # Every store has exceptions of its own.
            raise StageFailed("unavailable", f"{type(self._store).__name__}: {error}") from error
        parts = dict(zip(keys, zip(*answers, strict=True), strict=False))
        return [_row(rows, user_id, parts.get(user_id, ())) for user_id in user_ids]

    async def aclose(self) -> None:
        self._thread.shutdown(wait=False)
        if self._asynchronous:
            await self._store.close()

    async def _read(self, view: View, keys: list[EntityKey]) -> list[_Row]:
        names = list(view.features)
        table = self._feast.get_feature_view(view.name)
        if self._asynchronous:
            rows: list[_Row] = await self._store.online_read_async(self._feast.config, table, keys, names)
            return rows
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._store.online_read, self._feast.config, table, keys, names)


def _entity_key(rows: UserRows, user_id: str) -> EntityKey | None:
    try:
        key: EntityKey = deserialize_entity_key(rows.keys.encode(user_id), entity_key_serialization_version=3)
    except BadValue:
        # Such a user cannot be in the store.
        return None
    return key


def _row(rows: UserRows, user_id: str, parts: tuple[_Row, ...]) -> UserFeatures | StageFailed:
    cells: list[Cell] = [(name, value.SerializeToString()) for _, values in parts for name, value in (values or {}).items()]
    known = any(time is not None and time > _EPOCH for time, _ in parts)
    return rows.row(user_id, cells, found=known or any(blob for _, blob in cells))
