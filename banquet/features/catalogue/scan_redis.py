"""Reads the items of a Redis online store: all of them by SCAN, or the hashes of a few in one transaction.

A SCAN is not a snapshot. What is written meanwhile is in what the server tells as changed, and is read again afterwards.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from redis import Redis
from redis.exceptions import RedisError

from banquet.core.errors import StageFailed
from banquet.features.catalogue.item_columns import item_views
from banquet.features.catalogue.item_store import Changes
from banquet.features.catalogue.redis_tracking import Tracking
from banquet.features.stores.encoding import BadValue, decode_timestamp_us, redis_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from banquet.features.catalogue.item_columns import ItemTable, ViewTable
    from banquet.features.project.layout import Layout
    from banquet.features.stores.encoding import KeyFormat

PIPELINE_KEYS = 1000
TIMEOUT_S = 5.0


class RedisItems:
    """The items of one Redis server."""

    def __init__(self, options: Mapping[str, object]) -> None:
        timeouts = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
        self._client = Redis(**(timeouts | dict(options) | {"protocol": 2, "decode_responses": False}))
        self._tracking: Tracking | None = None
        self._formats: tuple[object, list[KeyFormat]] = (None, [])

    def changes(self, layout: Layout, told: int = 0) -> Changes:  # noqa: ARG002 - Redis tells by itself
        """By the server's key tracking: whoever writes an item, the server names its key."""
        now_s = time.time()
        formats = self._key_formats(layout)
        prefixes = [keys.prefix for keys in formats]
        try:
            if self._tracking is None or self._tracking.prefixes != prefixes:
                self._forget()
                self._tracking = Tracking(self._client, prefixes)
                self._tracking.written()
                return Changes(others=True, as_of_s=now_s)
            keys = self._tracking.written()
        except (RedisError, OSError) as error:
            self._forget()
            raise StageFailed("unavailable", f"Redis: {error}") from error
        if keys is None:
            return Changes(others=True, as_of_s=now_s)
        project = layout.project.encode()
        parsed = (keys_of.parse(key, project) for key in keys for keys_of in formats)
        return Changes(frozenset(item for item in parsed if item is not None), as_of_s=now_s)

    def scan(self, layout: Layout, table: ItemTable) -> Iterator[None]:
        try:
            for keys, views in _by_key(table.views.values()):
                for chunk in _items(self._client, layout.project.encode(), keys):
                    self._take(table, views, chunk, together=False)
                    yield
        except (RedisError, OSError) as error:
            raise StageFailed("unavailable", f"Redis: {error}") from error

    def read(self, layout: Layout, table: ItemTable, item_ids: Sequence[str], views: Sequence[str]) -> None:
        project = layout.project.encode()
        try:
            for keys, its in _by_key(table.views[name] for name in views):
                wanted = {key + project: item for item in item_ids if (key := _encoded(keys, item)) is not None}
                self._take(table, its, wanted, together=True)
        except (RedisError, OSError) as error:
            raise StageFailed("unavailable", f"Redis: {error}") from error

    def close(self) -> None:
        self._forget()
        self._client.close()

    def _forget(self) -> None:
        if self._tracking is not None:
            self._tracking.close()
            self._tracking = None

    def _key_formats(self, layout: Layout) -> list[KeyFormat]:
        if self._formats[0] is not layout:
            by_prefix = {keys.prefix: keys for keys in (view.keys() for view in item_views(layout))}
            self._formats = (layout, list(by_prefix.values()))
        return self._formats[1]

    def _take(self, table: ItemTable, views: Sequence[ViewTable], items: Mapping[bytes, str], *, together: bool) -> None:
        """Put the rows of items by key; `together`: all of one moment."""
        if not items:
            return
        names = [list(view.view.features) for view in views]
        fields = [redis_field(view.view.table, name) for view, its in zip(views, names, strict=True) for name in its]
        fields += [f"_ts:{view.view.table}".encode() for view in views]
        pipeline = self._client.pipeline(transaction=together)
        for key in items:
            pipeline.hmget(key, fields)
        columns = list(zip(*pipeline.execute(), strict=True))
        rows = table.rows_of(list(items.values()))
        at = 0
        for view, its, times in zip(views, names, columns[len(columns) - len(views) :], strict=True):
            mine = columns[at : at + len(its)]
            at += len(its)
            stored = [any(cell is not None for cell in cells) for cells in zip(*mine, strict=True)] or [False] * len(items)
            moments = {blob: decode_timestamp_us(blob) for blob in set(times) if blob is not None}
            known = [moments[time] if time is not None else 0 if has else None for time, has in zip(times, stored, strict=True)]
            view.put(rows, dict(zip(its, mine, strict=True)), known)


def _by_key(views: Iterable[ViewTable]) -> list[tuple[KeyFormat, list[ViewTable]]]:
    """Views that share a hash per item."""
    found: dict[bytes, tuple[KeyFormat, list[ViewTable]]] = {}
    for view in views:
        keys = view.view.keys()
        found.setdefault(keys.encode("0"), (keys, []))[1].append(view)
    return list(found.values())


def _items(client: Redis, project: bytes, keys: KeyFormat) -> Iterator[dict[bytes, str]]:
    """Item ids by key, in chunks. The pattern also matches projects with the same ending; parsing decides."""
    pattern = re.sub(rb"([*?\[\]\\^])", rb"\\\1", keys.prefix) + b"*" + project
    chunk: dict[bytes, str] = {}
    for key in client.scan_iter(pattern, count=PIPELINE_KEYS):
        item = keys.parse(key, project)
        if item is None:
            continue
        chunk[key] = item
        if len(chunk) == PIPELINE_KEYS:
            yield chunk
            chunk = {}
    if chunk:
        yield chunk


def _encoded(keys: KeyFormat, item: str) -> bytes | None:
    try:
        return keys.encode(item)
    except BadValue:
        # Such an item cannot be in the store.
        return None
