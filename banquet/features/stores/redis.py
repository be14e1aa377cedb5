"""Feast's Redis online store: one pipeline for everyone who waits, packed once per set of fields."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeAlias

from redis import asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from banquet.core.errors import StageFailed
from banquet.features.stores.cells import NOTHING
from banquet.features.stores.encoding import decode_timestamp_us, redis_field

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis.asyncio.connection import AbstractConnection

    from banquet.features.stores.cells import Part, StoredRow

# HGETALL costs less than HMGET when most of a wide hash is wanted (feast#6856).
WIDE = 32
WANTED_SHARE = 0.5
MEASURE_EVERY_S = 60.0
Reply: TypeAlias = "Sequence[bytes | None] | StageFailed"


class RedisCells:
    """A `CellStore` on one Redis server. A server that does not answer costs at most `timeout_s` per attempt (one retry)."""

    absent_is_present = True

    def __init__(self, options: Mapping[str, object], timeout_s: float = 0.25) -> None:
        # The timeout is for a whole round; RESP 2 has one shape for every reply.
        plain = {"socket_timeout": None, "socket_connect_timeout": timeout_s, "protocol": 2, "retry": Retry(NoBackoff(), 0)}
        self._client = redis.Redis(**(plain | dict(options)))
        self._timeout_s = timeout_s
        self._idle: list[AbstractConnection] = []
        self._widths: dict[tuple[str, ...], tuple[int, float]] = {}
        self._fields: dict[tuple[str, tuple[str, ...]], list[bytes]] = {}

    async def fetch(
        self, project: str, parts: Sequence[Part], keys: Sequence[Sequence[bytes]]
    ) -> list[list[StoredRow | StageFailed]]:
        suffix = project.encode()
        groups = _grouped(keys)
        asked = []
        for key_list, members in groups:
            fields = [field for member in members for field in self._fields_of(parts[member])]
            whole = await self._takes_whole(parts[members[0]].view.join_keys, key_list, suffix, len(fields))
            asked.append((key_list, members, fields, whole))
        commands = [
            pack(b"HGETALL", key + suffix) if whole else head + _bulk(key + suffix) + tail
            for key_list, _, fields, whole in asked
            for head, tail in [_around(fields)]
            for key in key_list
        ]
        # Without a key to ask for, at least whether the server is there.
        replies = iter(await self._exchange(commands or [pack(b"PING")]))
        rows: list[list[StoredRow | StageFailed]] = [[] for _ in parts]
        for key_list, members, fields, whole in asked:
            for _ in key_list:
                reply = next(replies)
                _take(_picked(reply, fields) if whole else reply, members, parts, rows)
        return rows

    async def aclose(self) -> None:
        await self._disconnect()
        await self._client.aclose()

    async def _disconnect(self) -> None:
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)

    def _fields_of(self, part: Part) -> list[bytes]:
        shape = (part.view.table, part.features)
        if (fields := self._fields.get(shape)) is None:
            table, names = shape
            fields = self._fields[shape] = [redis_field(table, name) for name in names] + [f"_ts:{table}".encode()]
        return fields

    async def _takes_whole(self, join_keys: tuple[str, ...], keys: Sequence[bytes], suffix: bytes, wanted: int) -> bool:
        """Whether to read whole hashes: when much is wanted of what they hold, measured on one of them now and then."""
        if wanted < WIDE or not keys:
            return False
        width, measured_s = self._widths.get(join_keys, (0, -MEASURE_EVERY_S))
        if time.monotonic() - measured_s >= MEASURE_EVERY_S:
            (answer,) = await self._exchange([pack(b"HLEN", keys[0] + suffix)])
            width = answer if isinstance(answer, int) else 0
            self._widths[join_keys] = (width, time.monotonic())
        return wanted >= WANTED_SHARE * width

    async def _exchange(self, commands: list[bytes]) -> list[Reply]:
        try:
            try:
                return await self._attempt(commands)
            except (RedisError, OSError):
                # One retry: after a restart of the server all connections are dead.
                await self._disconnect()
                return await self._attempt(commands)
        except (RedisError, OSError) as error:
            raise StageFailed("unavailable", f"Redis: {error or 'no answer in time'}") from error

    async def _attempt(self, commands: list[bytes]) -> list[Reply]:
        async with asyncio.timeout(self._timeout_s):
            connection = self._idle.pop() if self._idle else await self._connected()
            try:
                await connection.send_packed_command(commands, check_health=False)
                replies = [await _reply(connection) for _ in commands]
            except BaseException:
                # Replies may be on their way that nobody waits for.
                await connection.disconnect(nowait=True)
                raise
        self._idle.append(connection)
        return replies

    async def _connected(self) -> AbstractConnection:
        connection = self._client.connection_pool.make_connection()
        await connection.connect()
        return connection


def pack(*words: bytes) -> bytes:
    """A command as it travels."""
    return b"*%d\r\n" % len(words) + b"".join(map(_bulk, words))


def _bulk(word: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(word), word)


def _around(fields: Sequence[bytes]) -> tuple[bytes, bytes]:
    """What stands before and after the key of an HMGET."""
    return b"*%d\r\n$5\r\nHMGET\r\n" % (len(fields) + 2), b"".join(map(_bulk, fields))


def _grouped(keys: Sequence[Sequence[bytes]]) -> list[tuple[Sequence[bytes], list[int]]]:
    """Questions about the same entities are asked together: all views of an entity share its hash."""
    groups: list[tuple[Sequence[bytes], list[int]]] = []
    for number, its in enumerate(keys):
        for other, members in groups:
            if other == its:
                members.append(number)
                break
        else:
            groups.append((its, [number]))
    return groups


async def _reply(connection: AbstractConnection) -> Reply:
    try:
        reply: Reply = await connection.read_response(disable_decoding=True)
    except ResponseError as error:
        if not str(error).startswith("WRONGTYPE"):
            raise
        return StageFailed("unavailable", f"Redis: {error}")
    return reply


def _picked(reply: Reply, fields: Sequence[bytes]) -> Reply:
    if isinstance(reply, StageFailed):
        return reply
    pairs = iter(reply)
    found = dict(zip(pairs, pairs, strict=True))
    return [found.get(field) for field in fields]


def _take(reply: Reply, members: Sequence[int], parts: Sequence[Part], rows: list[list[StoredRow | StageFailed]]) -> None:
    at = 0
    for member in members:
        if isinstance(reply, StageFailed):
            rows[member].append(reply)
            continue
        end = at + len(parts[member].features)
        blobs, stamp = reply[at:end], reply[end]
        at = end + 1
        if stamp is None and all(blob is None for blob in blobs):
            rows[member].append(NOTHING)
        else:
            rows[member].append((decode_timestamp_us(stamp) if stamp else None, blobs))
