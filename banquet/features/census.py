"""Counts what the online store holds of each view: rows, the newest event, and what is missing."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from banquet.core.errors import StageFailed
from banquet.features.atomic import write_text
from banquet.features.project.layout import LayoutFile
from banquet.features.project.repo import RedisStore, SqliteStore
from banquet.features.stores.encoding import decode_timestamp_us, redis_field
from banquet.features.stores.local_times import utc_us
from banquet.features.stores.sqlite import connect

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import tzinfo
    from pathlib import Path

    from redis import Redis

    from banquet.features.project.layout import Layout, View
    from banquet.features.project.repo import FeatureRepo
    from banquet.features.stores.encoding import KeyFormat

log = logging.getLogger(__name__)

FILE = "census.json"
BUSY_TIMEOUT_S = 5.0
CHUNK = 1_000
# A count rests this many times as long as it took: it may cost a twentieth of a core.
REST = 20.0


@dataclass(frozen=True, slots=True)
class ViewCount:
    """One view: entities with a row, the share of their features without a value, and the newest event (0: none)."""

    view: str
    entity: str
    rows: int
    missing: float
    newest_s: float


def take_census(repo: FeatureRepo, layout: Layout, zone: tzinfo | None = None) -> list[ViewCount]:
    """Every stored view, one after the other. Raises `StageFailed`; stores other than SQLite and Redis are not counted.

    `zone` is that of whoever writes to a SQLite store, by default this process's own.
    """
    views = [view for view in layout.views if not view.computed]
    match repo.store:
        case SqliteStore(file):
            try:
                with closing(connect(file, BUSY_TIMEOUT_S)) as connection:
                    return [_count_in_sqlite(connection, layout.project, view, zone) for view in views]
            except (sqlite3.Error, OSError) as error:
                raise StageFailed("unavailable", f"{file}: {error}") from error
        case RedisStore(options):
            return _count_in_redis(options, layout.project.encode(), views)
        case _:
            return []


def keep_census(repo: FeatureRepo, folder: Path, stop: threading.Event, every_s: float) -> None:
    """Publish the count beside the layout until `stop` is set, at most every `every_s` seconds."""
    layouts = LayoutFile(folder)
    while not stop.is_set():
        began_s = time.monotonic()
        try:
            publish_census(folder, take_census(repo, layouts.current()))
        except (StageFailed, OSError) as error:
            log.debug("the views are not counted: %s", error)
        stop.wait(max(every_s, REST * (time.monotonic() - began_s)))


def publish_census(folder: Path, counts: Sequence[ViewCount]) -> None:
    write_text(folder / FILE, json.dumps([asdict(count) for count in counts], indent=1))


def read_census(folder: Path) -> list[ViewCount]:
    """What was published last; nothing when there is none that can be read."""
    try:
        return [ViewCount(**body) for body in json.loads((folder / FILE).read_text())]
    except (FileNotFoundError, ValueError, TypeError):
        return []


def _count_in_sqlite(connection: sqlite3.Connection, project: str, view: View, zone: tzinfo | None) -> ViewCount:
    names = list(view.features)
    marks = ",".join("?" * len(names))
    question = (
        "SELECT count(DISTINCT entity_key), sum(value IS NOT NULL AND length(value) > 0), max(event_ts)"  # noqa: S608
        f' FROM "{project}_{view.table}" WHERE feature_name IN ({marks})'
    )
    rows, filled, newest = connection.execute(question, names).fetchone()
    return _counted(view, rows, filled or 0, utc_us(newest, zone) / 1e6 if newest else 0.0)


def _count_in_redis(options: Mapping[str, object], project: bytes, views: Sequence[View]) -> list[ViewCount]:
    from redis import Redis  # noqa: PLC0415 - an extra
    from redis.exceptions import RedisError  # noqa: PLC0415

    timeouts = {"socket_timeout": BUSY_TIMEOUT_S, "socket_connect_timeout": BUSY_TIMEOUT_S}
    try:
        with closing(Redis(**(timeouts | dict(options)))) as client:
            prefixes = {view.keys().prefix: view.keys() for view in views}
            groups = [(keys, [view for view in views if view.keys().prefix == prefix]) for prefix, keys in prefixes.items()]
            return [count for keys, its in groups for count in _count_hashes(client, project, keys, its)]
    except (RedisError, OSError) as error:
        raise StageFailed("unavailable", f"Redis: {error}") from error


def _count_hashes(client: Redis, project: bytes, keys: KeyFormat, views: Sequence[View]) -> list[ViewCount]:
    """Views that share a hash per entity."""
    rows, filled, newest = [0] * len(views), [0] * len(views), [0] * len(views)
    fields = [[f"_ts:{view.table}".encode(), *(redis_field(view.table, name) for name in view.features)] for view in views]
    wanted = [field for its in fields for field in its]
    for chunk in _keys(client, project, keys):
        pipeline = client.pipeline(transaction=False)
        for key in chunk:
            pipeline.hmget(key, wanted)
        for answer in pipeline.execute():
            at = 0
            for k, its in enumerate(fields):
                moment, *cells = answer[at : at + len(its)]
                at += len(its)
                if moment is None and all(cell is None for cell in cells):
                    continue
                rows[k] += 1
                filled[k] += sum(bool(cell) for cell in cells)
                newest[k] = max(newest[k], decode_timestamp_us(moment) if moment else 0)
    return [_counted(view, rows[k], filled[k], newest[k] / 1e6) for k, view in enumerate(views)]


def _keys(client: Redis, project: bytes, keys: KeyFormat) -> Iterator[list[bytes]]:
    """The pattern also matches projects with the same ending; parsing decides."""
    pattern = re.sub(rb"([*?\[\]\\^])", rb"\\\1", keys.prefix) + b"*" + project
    chunk: list[bytes] = []
    for key in client.scan_iter(pattern, count=CHUNK):
        if keys.parse(key, project) is not None:
            chunk.append(key)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _counted(view: View, rows: int, filled: int, newest_s: float) -> ViewCount:
    cells = rows * len(view.features)
    return ViewCount(view.name, view.entity, rows, 1 - filled / cells if cells else 0.0, newest_s)
