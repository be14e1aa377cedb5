"""Users from Feast's Redis online store: one pipeline for everyone who waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redis import asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from banquet.core.errors import StageFailed
from banquet.features.encoding import BadValue, redis_field
from banquet.features.user_rows import UserRows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from banquet.core.query import UserFeatures
    from banquet.features.layout import LayoutFile


class RedisUsers:
    """A `UserStore` on one Redis server. A server that does not answer costs at most `timeout_s` per attempt (one retry).

    For an unknown key Redis answers with unset values; a user is found when any view has a time or a value for it.
    """

    def __init__(self, options: Mapping[str, object], layout: LayoutFile, timeout_s: float = 0.25) -> None:
        timeouts = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        # One retry: the first call after a restart finds a dead connection.
        self._client = redis.Redis(**(timeouts | dict(options)), retry=Retry(NoBackoff(), 1))
        self._layout = layout
        self._rows: UserRows | None = None
        self._names: list[str] = []
        self._fields: list[bytes] = []

    async def fetch(self, user_ids: Sequence[str]) -> list[UserFeatures | StageFailed]:
        rows = self._shape()
        project = rows.layout.project.encode()
        pipeline = self._client.pipeline(transaction=False)
        asked = []
        for user_id in user_ids:
            try:
                pipeline.hmget(rows.keys.encode(user_id) + project, self._fields)
            except BadValue:
                continue
            asked.append(user_id)
        try:
            answers = dict(zip(asked, await pipeline.execute(raise_on_error=False), strict=True)) if asked else {}
        except (RedisError, OSError) as error:
            raise StageFailed("unavailable", f"Redis: {error}") from error
        nothing = [None] * len(self._fields)
        return [self._row(rows, user_id, answers.get(user_id, nothing)) for user_id in user_ids]

    async def aclose(self) -> None:
        await self._client.aclose()

    def _row(self, rows: UserRows, user_id: str, answer: list[bytes | None] | Exception) -> UserFeatures | StageFailed:
        if isinstance(answer, Exception):
            return StageFailed("unavailable", f"Redis: {answer}")
        found = any(cell is not None for cell in answer)
        return rows.row(user_id, zip(self._names, answer, strict=False), found=found)

    def _shape(self) -> UserRows:
        layout = self._layout.current()
        if self._rows is None or self._rows.layout is not layout:
            self._rows = UserRows(layout)
            cells = [(view.table, name) for view in self._rows.views for name in view.features]
            self._names = [name for _, name in cells]
            self._fields = [redis_field(*cell) for cell in cells] + [f"_ts:{view.table}".encode() for view in self._rows.views]
        return self._rows
