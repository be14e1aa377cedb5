"""The views of what happened in a Feast online store, for the consumer's process: loading Feast takes seconds.

Rows go through Feast's provider straight to the store of whatever kind. `FeatureStore.push` ends in the same call, but for a few
rows it takes ten times as long: it parses the registry and turns rows into a frame, the frame into Arrow, Arrow into rows.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from feast.infra.online_stores.sqlite import SqliteOnlineStore
from feast.infra.provider import get_provider
from feast.protos.feast.types.Value_pb2 import Value

from banquet.core.declared import ACTIVITY, VIEWS, entity_of
from banquet.core.ids import KeyTypes
from banquet.feedback.derive import row_values
from banquet.feedback.feast_forget import forget_entities
from banquet.feedback.feast_views import declared_keys, declared_views, open_store, to_value
from banquet.feedback.ports import ActivityRow, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from banquet.core.declared import Entity
    from banquet.feedback.ports import RecentRow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class FeastActivity:
    """Reads and pushes the declared views. Raises `BadSettings` where the repository defines them otherwise."""

    def __init__(self, repo_path: Path) -> None:
        self.feast = open_store(repo_path)
        self.own_keys = declared_keys(self.feast, repo_path)
        self.views = declared_views(self.feast, self.own_keys, repo_path)
        self._config = self.feast.config
        self._provider = get_provider(self._config)
        online = self._provider.online_store
        if isinstance(online, SqliteOnlineStore):
            # Does not wait for the disk: after a power cut the consumer pushes everything again.
            online._get_conn(self._config).execute("PRAGMA synchronous = NORMAL")  # noqa: SLF001 - Feast's own connection

    @property
    def kept(self) -> frozenset[Entity]:
        return self._having("activity")

    @property
    def recent(self) -> frozenset[Entity]:
        return self._having("recent")

    @property
    def keys(self) -> KeyTypes:
        return KeyTypes(self.own_keys["user"].type, self.own_keys["item"].type)

    def read_users(self, user_ids: Sequence[str]) -> Mapping[str, ActivityRow]:
        return self._read("user", user_ids)

    def read_items(self, item_ids: Sequence[str]) -> Mapping[str, ActivityRow]:
        return self._read("item", item_ids)

    def push_users(self, rows: Sequence[ActivityRow]) -> None:
        self._push("user_activity", ((row.entity_id, row.event_time_us, row_values("user", row)) for row in rows))

    def push_items(self, rows: Sequence[ActivityRow]) -> None:
        self._push("item_activity", ((row.entity_id, row.event_time_us, row_values("item", row)) for row in rows))

    def push_recent(self, entity: Entity, rows: Sequence[RecentRow]) -> None:
        self._push(f"{entity}_recent", ((row.entity_id, row.event_time_us, row.values) for row in rows))

    def forget_users(self, user_ids: Sequence[str]) -> None:
        """Remove users' rows from every view of users in the store, whoever wrote them."""
        own_key = self.own_keys["user"]
        keys = [key for user_id in user_ids if (key := own_key.of(user_id)) is not None]
        try:
            forget_entities(self.feast, own_key.join_key, keys)
        except Exception as error:  # each of Feast's stores raises classes of its own
            raise StoreUnavailable(f"{len(keys)} users cannot be erased: {error}") from error

    def _having(self, view: str) -> frozenset[Entity]:
        return frozenset(entity for entity in ACTIVITY if f"{entity}_{view}" in self.views)

    def _read(self, entity: Entity, ids: Sequence[str]) -> dict[str, ActivityRow]:
        name = f"{entity}_activity"
        keys = {entity_id: key for entity_id in ids if (key := self.own_keys[entity].of(entity_id)) is not None}
        if name not in self.views or not keys:
            return {}
        names = [feature.name for feature in VIEWS[name]]
        try:
            found = self._provider.online_read(self._config, self.views[name], list(keys.values()), names)
        except Exception as error:  # as in forget_users
            raise StoreUnavailable(f"{name} cannot be read: {error}") from error
        answers = zip(keys, found, strict=True)
        return {entity_id: _row(entity_id, at, values) for entity_id, (at, values) in answers if at and _is_known(at, values)}

    def _push(self, name: str, rows: Iterable[tuple[str, int, Mapping[str, object]]]) -> None:
        if name not in self.views:
            return
        now = datetime.now(UTC)
        own_key = self.own_keys[entity_of(name)]
        features = VIEWS[name]
        data = [
            (
                key,
                {feature.name: to_value(feature, values[feature.name]) for feature in features},
                _EPOCH + event_time_us * _MICROSECOND,
                now,
            )
            for entity_id, event_time_us, values in rows
            if (key := own_key.of(entity_id)) is not None
        ]
        try:
            self._provider.online_write_batch(self._config, self.views[name], data, None)
        except Exception as error:  # as in forget_users
            raise StoreUnavailable(f"{len(data)} rows of {name} cannot be pushed: {error}") from error


def _is_known(at: datetime, values: Mapping[str, Value]) -> bool:
    """Whom Redis does not know it answers with empty values, from 1970; but a row may be from then."""
    return at > _EPOCH or any(value.WhichOneof("val") for value in values.values())


def _row(entity_id: str, at: datetime, values: Mapping[str, Value]) -> ActivityRow:
    """A feature the row lacks counts as zero, an empty history or no mean."""
    cells = {feature.name: values.get(feature.name) or Value() for feature in ACTIVITY["user"]}
    mean = cells["rating_mean"]
    return ActivityRow(
        entity_id,
        cells["interaction_count"].int64_val,
        cells["rating_count"].int64_val,
        mean.float_val if mean.HasField("float_val") else None,
        (at - _EPOCH) // _MICROSECOND,
        tuple(cells["history"].string_list_val.val),
    )
