"""The user reader when its Redis is in trouble."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from banquet.core.errors import StageFailed
from banquet.features.project.layout import LayoutFile
from banquet.features.stores.encoding import KeyFormat, redis_field
from banquet.features.stores.redis import RedisCells
from banquet.features.users.joined import JoinedUserReader
from banquet.features.users.stored import StoredUsers
from tests.integration.features.world import World, start_redis


@pytest.fixture(scope="module")
def port() -> int:
    return start_redis()


@pytest.fixture
async def server(port: int) -> AsyncIterator[Redis]:
    client = Redis(port=port)
    yield client
    await client.aclose()


@pytest.fixture
async def reader(port: int, sqlite: World) -> AsyncIterator[JoinedUserReader]:
    reader = JoinedUserReader(
        StoredUsers(RedisCells({"host": "127.0.0.1", "port": port}, timeout_s=0.1), LayoutFile(sqlite.catalogue))
    )
    yield reader
    await reader.aclose()


async def test_a_server_that_does_not_answer_costs_the_timeout(reader: JoinedUserReader, server: Redis) -> None:
    """Two attempts of a tenth of a second; afterwards all is well again."""
    assert not (await reader.read("u")).found
    await server.client_pause(400)
    async with asyncio.timeout(0.6):
        with pytest.raises(StageFailed, match="unavailable"):
            await reader.read("u")
    await asyncio.sleep(0.4)
    assert not (await reader.read("u")).found


async def test_a_connection_that_was_cut_is_made_again(reader: JoinedUserReader, server: Redis) -> None:
    """As after a restart of the server: nobody notices."""
    await reader.read("u")
    await server.client_kill_filter(_type="normal", skipme=True)
    assert not (await reader.read("u")).found


async def test_a_wrong_password_is_unavailable(port: int, server: Redis, sqlite: World) -> None:
    """And the text says why."""
    await server.config_set("requirepass", "secret")
    await server.execute_command("AUTH", "secret")
    reader = JoinedUserReader(
        StoredUsers(RedisCells({"host": "127.0.0.1", "port": port, "password": "wrong"}), LayoutFile(sqlite.catalogue))
    )
    try:
        with pytest.raises(StageFailed, match=r"unavailable.*(password|AUTH)"):
            await reader.read("u")
    finally:
        await reader.aclose()
        await server.config_set("requirepass", "")


async def test_a_key_of_another_kind_costs_its_user_alone(reader: JoinedUserReader, server: Redis) -> None:
    """Someone else's data under our key is an error for whom it concerns."""
    key = KeyFormat("user_id", "STRING").encode("odd") + b"banquet"
    await server.set(key, redis_field("user_profile", "age"))
    outcomes = await asyncio.gather(*(reader.read(user_id) for user_id in ("first", "odd", "even")), return_exceptions=True)
    assert [isinstance(outcome, StageFailed) for outcome in outcomes] == [False, True, False]
