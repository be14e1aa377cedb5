"""Removes entities from a Feast online store; Feast itself can only remove views and all entities of a kind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _redis_key
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.infra.online_stores.sqlite import SqliteOnlineStore, _table_id
from feast.protos.feast.types.Value_pb2 import Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feast import FeatureStore
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey

# Others wait for a store meanwhile.
KEYS_AT_ONCE = 500


def forget_entities(feast: FeatureStore, join_key: str, keys: Sequence[EntityKey]) -> None:
    """Delete all rows by these keys of one entity, of every view. In stores that cannot delete a row, its values become null."""
    views = [view for view in feast.list_feature_views() if [column.name for column in view.entity_columns] == [join_key]]
    for start in range(0, len(keys), KEYS_AT_ONCE):
        _forget(feast, views, keys[start : start + KEYS_AT_ONCE])


def _forget(feast: FeatureStore, views: Sequence[Any], keys: Sequence[EntityKey]) -> None:
    online = feast._get_provider().online_store  # noqa: SLF001 - Feast gives no public way to its store
    match online:
        case SqliteOnlineStore():
            _forget_in_sqlite(online, feast, views, keys)
        case RedisOnlineStore():
            client = online._get_client(feast.config.online_store)  # noqa: SLF001
            with client.pipeline(transaction=False) as pipe:
                for key in keys:
                    # One by one: a cluster has them in different places.
                    pipe.delete(_redis_key(feast.project, key))
                pipe.execute()
        case _:
            now = datetime.now(UTC)
            for view in views:
                nothing = {field.name: Value() for field in view.features}
                rows = [(key, nothing, now, now) for key in keys]
                feast._get_provider().online_write_batch(feast.config, view, rows, None)  # noqa: SLF001


def _forget_in_sqlite(online: SqliteOnlineStore, feast: FeatureStore, views: Sequence[Any], keys: Sequence[EntityKey]) -> None:
    connection = online._get_conn(feast.config)  # noqa: SLF001
    version = feast.config.entity_key_serialization_version
    stored = [(serialize_entity_key(key, version),) for key in keys]
    connection.execute("PRAGMA secure_delete = ON")
    with connection:
        for view in views:
            table = _table_id(feast.project, view, feast.config.registry.enable_online_feature_view_versioning)
            connection.executemany(f'DELETE FROM "{table}" WHERE entity_key = ?', stored)  # noqa: S608
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
