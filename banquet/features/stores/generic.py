"""Any online store, through Feast's own `online_read`. For stores that Banquet has no reader of its own for."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from feast import FeatureStore
from feast.infra.key_encoding_utils import deserialize_entity_key
from feast.infra.online_stores.helpers import compute_versioned_name

from banquet.core.errors import StageFailed
from banquet.features.stores.cells import NOTHING
from banquet.features.stores.throttled import heed_unprocessed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feast import FeatureView
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    from banquet.features.project.repo import FeatureRepo
    from banquet.features.stores.cells import Part, StoredRow

_Read: TypeAlias = "tuple[datetime | None, dict[str, Value] | None]"
_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)


class FeastCells:
    """A `CellStore` on Feast's online store classes: one `online_read` per view and round, in a thread where the store has no
    asynchronous one.
    """

    def __init__(self, repo: FeatureRepo) -> None:
        self._feast = FeatureStore(repo_path=str(repo.folder), fs_yaml_file=repo.yaml)
        self._store = self._feast._get_provider().online_store  # noqa: SLF001 - Feast has no public way to it
        heed_unprocessed(self._store)
        self._asynchronous: bool = self._store.async_supported.read
        # Feast's Redis reader (a cluster's, too) says nulls of 1970 of what it does not have.
        self.absent_is_present = any(kind.__name__ == "RedisOnlineStore" for kind in type(self._store).__mro__)
        # One thread: not every store's connection may be shared.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feast-reads")

    async def fetch(
        self,
        project: str,  # noqa: ARG002 - Feast knows it
        parts: Sequence[Part],
        keys: Sequence[Sequence[bytes]],
    ) -> list[list[StoredRow | StageFailed]]:
        try:
            return [await self._read(part, its) if its else [] for part, its in zip(parts, keys, strict=True)]
        except Exception as error:
            # Every store has exceptions of its own.
            raise StageFailed("unavailable", f"{type(self._store).__name__}: {error}") from error

    async def aclose(self) -> None:
        self._thread.shutdown(wait=False)
        if self._asynchronous:
            await self._store.close()

    async def _read(self, part: Part, keys: Sequence[bytes]) -> list[StoredRow | StageFailed]:
        protos: list[EntityKey] = [deserialize_entity_key(key, entity_key_serialization_version=3) for key in keys]
        question = (self._feast.config, self._view(part), protos, list(part.features))
        if self._asynchronous:
            rows: list[_Read] = await self._store.online_read_async(*question)
        else:
            rows = await asyncio.get_running_loop().run_in_executor(self._thread, self._store.online_read, *question)
        return [self._stored(row, part) for row in rows]

    def _view(self, part: Part) -> FeatureView:
        name, _, version = (part.view.registered or part.view.name).partition("@v")
        registry, project = self._feast.registry, self._feast.project
        if not version:
            view = registry.get_any_feature_view(name, project, allow_cache=True)
            versioned = self._feast.config.registry.enable_online_feature_view_versioning
            # A copy forgets the current version, and that is what is asked for then: the very first one.
            asked = compute_versioned_name(view, versioned) == part.view.table
            return view if asked else view.with_projection(copy(view.projection))
        view = registry.get_feature_view_by_version(name, project, int(version), allow_cache=True)
        view.projection.version_tag = int(version)
        return view

    def _stored(self, row: _Read, part: Part) -> StoredRow:
        time, values = row
        if values is None:
            return NOTHING
        blobs = [values[name].SerializeToString() if name in values else None for name in part.features]
        if self.absent_is_present and time == _EPOCH and not any(blobs):
            return NOTHING
        return (time - _EPOCH) // _MICROSECOND if time is not None else None, blobs
