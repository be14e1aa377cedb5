"""Removes one entity from a Feast online store; Feast itself can only remove views and all entities of a kind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _redis_key
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.infra.online_stores.sqlite import SqliteOnlineStore, _table_id
from feast.protos.feast.types.Value_pb2 import Value

if TYPE_CHECKING:
    from feast import FeatureStore
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey


def forget_entity(feast: FeatureStore, key: EntityKey) -> None:
    """Delete all rows by this key, of every view. In stores that cannot delete one, its values become null."""
    views = [
        view for view in feast.list_feature_views() if [column.name for column in view.entity_columns] == list(key.join_keys)
    ]
    online = feast._get_provider().online_store  # noqa: SLF001 - Feast gives no public way to its store
    match online:
        case SqliteOnlineStore():
            _forget_in_sqlite(online, feast, views, key)
        case RedisOnlineStore():
            online._get_client(feast.config.online_store).delete(_redis_key(feast.project, key))  # noqa: SLF001
        case _:
            now = datetime.now(UTC)
            for view in views:
                nothing = {field.name: Value() for field in view.features}
                feast._get_provider().online_write_batch(feast.config, view, [(key, nothing, now, now)], None)  # noqa: SLF001


def _forget_in_sqlite(online: SqliteOnlineStore, feast: FeatureStore, views: list[Any], key: EntityKey) -> None:
    connection = online._get_conn(feast.config)  # noqa: SLF001
    version = feast.config.entity_key_serialization_version
    connection.execute("PRAGMA secure_delete = ON")
    with connection:
        for view in views:
            table = _table_id(feast.project, view, feast.config.registry.enable_online_feature_view_versioning)
            connection.execute(f'DELETE FROM "{table}" WHERE entity_key = ?', (serialize_entity_key(key, version),))  # noqa: S608
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
