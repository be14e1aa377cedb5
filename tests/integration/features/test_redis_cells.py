"""Redis as it lies there: wide reads take whole hashes, narrow ones some fields."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from banquet.core.errors import StageFailed
from banquet.features.project.layout import View
from banquet.features.stores.cells import NOTHING, Part
from banquet.features.stores.encoding import redis_field
from banquet.features.stores.entity_keys import EntityKeys
from banquet.features.stores.redis import RedisCells
from tests.integration.features.world import start_redis

FEATURES = {f"f{number}": "INT64" for number in range(40)}
VIEW = View("wide", "wide", "user", ("user_id",), ("INT64",), FEATURES, own_key="user_id")
KEYS = EntityKeys(("user_id",), ("INT64",))


@pytest.fixture(scope="module")
def port() -> int:
    return start_redis()


@pytest.fixture
async def server(port: int) -> AsyncIterator[Redis]:
    client = Redis(port=port)
    for user in (1, 2):
        cells = {redis_field("wide", name): b"\x20" + bytes([user, number])[:1] for number, name in enumerate(FEATURES)}
        await client.hset(KEYS.encode([user]) + b"banquet", mapping=cells | {b"_ts:wide": b"\x08\x05"})
    await client.config_resetstat()
    yield client
    await client.aclose()


async def commands(server: Redis) -> set[str]:
    return {name.removeprefix("cmdstat_") for name in await server.info("commandstats")} & {"hgetall", "hmget"}


@pytest.mark.parametrize(("width", "command"), [(3, "hmget"), (40, "hgetall")])
async def test_the_width_decides_how_a_hash_is_read(server: Redis, port: int, width: int, command: str) -> None:
    """And the answer is the same: values in the order asked for, the time, nothing of a stranger."""
    cells = RedisCells({"host": "127.0.0.1", "port": port})
    part = Part(VIEW, tuple(FEATURES)[:width])
    keys = [KEYS.encode([user]) for user in (2, 3, 1)]
    (rows,) = await cells.fetch("banquet", [part], [keys])
    await cells.aclose()
    assert rows == [(5_000_000, [b"\x20\x02"] * width), NOTHING, (5_000_000, [b"\x20\x01"] * width)]
    assert await commands(server) == {command}


async def test_views_of_one_entity_are_read_in_one_command(server: Redis, port: int) -> None:
    """They share a hash; of different entities, in one pipeline."""
    cells = RedisCells({"host": "127.0.0.1", "port": port})
    other = View("other", "other", "user", ("user_id",), ("INT64",), {"x": "INT64"})
    key = KEYS.encode([1])
    rows = await cells.fetch("banquet", [Part(VIEW, ("f0",)), Part(other, ("x",)), Part(VIEW, ("f1",))], [[key], [key], []])
    await cells.aclose()
    assert rows == [[(5_000_000, [b"\x20\x01"])], [NOTHING], []]
    assert (await server.info("commandstats"))["cmdstat_hmget"]["calls"] == 1


async def test_even_a_question_without_keys_tells_whether_the_server_is_there() -> None:
    """A breaker's canary may have an id that no key can hold."""
    cells = RedisCells({"host": "127.0.0.1", "port": 9})
    with pytest.raises(StageFailed, match="unavailable"):
        await cells.fetch("banquet", [Part(VIEW, ("f0",))], [[]])
    await cells.aclose()
