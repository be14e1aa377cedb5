"""Joins the reads of concurrent queries: while one round is under way, the next one gathers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Protocol

from banquet.core.errors import StageFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from banquet.core.query import UserFeatures

ROUND_LIMIT = 256


class Ask(NamedTuple):
    """Whom a query asks for, and what its context says: parts of composite keys and data for on-demand views, by name."""

    user_id: str
    context: tuple[tuple[str, str], ...] = ()


class UserStore(Protocol):
    """Reads many users at once: one row, or what went wrong with it, per ask and in their order.

    Raises `StageFailed` when the store as a whole cannot answer.
    """

    async def fetch(self, asks: Sequence[Ask]) -> list[UserFeatures | StageFailed]: ...

    async def aclose(self) -> None: ...


class JoinedUserReader:
    """A `UserReader` that serves everyone who is waiting with one read of the store; an idle store is asked at once."""

    def __init__(self, store: UserStore) -> None:
        self._store = store
        self._waiting: dict[Ask, list[asyncio.Future[UserFeatures]]] = {}
        self._rounds: asyncio.Task[None] | None = None

    async def read(self, user_id: str, context: Mapping[str, str] | None = None) -> UserFeatures:
        future: asyncio.Future[UserFeatures] = asyncio.get_running_loop().create_future()
        ask = Ask(user_id, tuple(sorted(context.items())) if context else ())
        self._waiting.setdefault(ask, []).append(future)
        if self._rounds is None:
            self._rounds = asyncio.create_task(self._run(), name="user reads")
        return await future

    async def aclose(self) -> None:
        """Let go of the store; whoever still waits gets `StageFailed`."""
        if self._rounds is not None:
            self._rounds.cancel()
            await asyncio.gather(self._rounds, return_exceptions=True)
        await self._store.aclose()

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._round()
        finally:
            self._rounds = None
            _fail(self._take(len(self._waiting)), StageFailed("unavailable", "the reader was closed"))

    async def _round(self) -> None:
        waiting = self._take(ROUND_LIMIT)
        if not waiting:
            return
        try:
            rows = await self._store.fetch(list(waiting))
        except asyncio.CancelledError:
            _fail(waiting, StageFailed("unavailable", "the reader was closed"))
            raise
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it, whatever it was
            _fail(waiting, error)
            return
        for futures, row in zip(waiting.values(), rows, strict=True):
            for future in futures:
                if future.done():
                    continue
                if isinstance(row, StageFailed):
                    future.set_exception(row)
                else:
                    future.set_result(row)

    def _take(self, limit: int) -> dict[Ask, list[asyncio.Future[UserFeatures]]]:
        """The first users someone still waits for; those whose callers gave up are dropped."""
        taken: dict[Ask, list[asyncio.Future[UserFeatures]]] = {}
        while self._waiting and len(taken) < limit:
            ask = next(iter(self._waiting))
            futures = [future for future in self._waiting.pop(ask) if not future.done()]
            if futures:
                taken[ask] = futures
        return taken


def _fail(waiting: dict[Ask, list[asyncio.Future[UserFeatures]]], error: Exception) -> None:
    for futures in waiting.values():
        for future in futures:
            if not future.done():
                future.set_exception(error)
