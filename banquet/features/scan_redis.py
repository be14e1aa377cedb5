"""Scans the items of a Redis online store: SCAN for their keys, then their hashes in pipelines.

A scan is not a snapshot: what is written meanwhile may or may not be in it, and the next scan has it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from redis import Redis
from redis.exceptions import RedisError

from banquet.core.errors import StageFailed
from banquet.features.encoding import decode_timestamp_us, redis_field
from banquet.features.item_columns import ScannedView

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from banquet.features.encoding import KeyFormat
    from banquet.features.layout import Layout

PIPELINE_KEYS = 1000
TIMEOUT_S = 5.0


class RedisItems:
    """The items of one Redis server."""

    def __init__(self, options: Mapping[str, object]) -> None:
        timeouts = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
        self._client = Redis(**(timeouts | dict(options)))

    def state(self) -> object:
        """Differs from an earlier one when anyone has written to the server since. Raises `StageFailed`."""
        try:
            server, persistence = self._client.info("server"), self._client.info("persistence")
        except (RedisError, OSError) as error:
            raise StageFailed("unavailable", f"Redis: {error}") from error
        # Changes are counted from the last save on.
        return server["run_id"], persistence["rdb_last_save_time"], persistence["rdb_changes_since_last_save"]

    def scan(self, layout: Layout) -> list[ScannedView]:
        """Every item's cells. Raises `StageFailed` when the store cannot be read."""
        scanned = [ScannedView.empty(view) for view in layout.items]
        by_key: dict[tuple[tuple[str, ...], tuple[str, ...]], list[ScannedView]] = {}
        for scan in scanned:
            by_key.setdefault((scan.view.join_keys, scan.view.key_types), []).append(scan)
        try:
            for its in by_key.values():
                _scan(self._client, layout.project.encode(), its[0].view.keys(), its)
        except (RedisError, OSError) as error:
            raise StageFailed("unavailable", f"Redis: {error}") from error
        return scanned

    def close(self) -> None:
        self._client.close()


def _scan(client: Redis, project: bytes, keys: KeyFormat, scanned: Sequence[ScannedView]) -> None:
    fields = [redis_field(scan.view.table, name) for scan in scanned for name in scan.cells]
    fields += [f"_ts:{scan.view.table}".encode() for scan in scanned]
    for chunk in _items(client, project, keys):
        pipeline = client.pipeline(transaction=False)
        for key in chunk:
            pipeline.hmget(key, fields)
        for item, answer in zip(chunk.values(), pipeline.execute(), strict=True):
            _take(item, answer, scanned)


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


def _take(item: str, answer: list[bytes | None], scanned: Sequence[ScannedView]) -> None:
    times = answer[len(answer) - len(scanned) :]
    at = 0
    for scan, time in zip(scanned, times, strict=True):
        its = answer[at : at + len(scan.cells)]
        at += len(scan.cells)
        if time is None and all(blob is None for blob in its):
            continue
        scan.times_us[item] = decode_timestamp_us(time or b"")
        for cells, blob in zip(scan.cells.values(), its, strict=True):
            if blob is not None:
                cells[item] = blob
