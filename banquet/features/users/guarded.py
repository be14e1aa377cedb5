"""Guards queries against a broken online store, and a broken online store against queries."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from banquet.core.breaker import Breaker
from banquet.core.errors import StageFailed
from banquet.features.users.joined import Ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from banquet.core.query import UserFeatures
    from banquet.features.users.joined import UserStore

# Nobody's id; any answer shows that the store answers.
CANARY = Ask("banquet:canary")


class GuardedUsers:
    """A `UserStore` that gives another one at most `patience_s` per read, and leaves it in peace after some failures in a row.

    From then on every read is refused at once, and a canary of its own is read, seldom, until one comes back in time.
    """

    def __init__(self, store: UserStore, patience_s: float) -> None:
        self._store = store
        self._patience_s = patience_s
        self._breaker = Breaker("the online store", lambda: self._read([CANARY]))

    async def fetch(self, asks: Sequence[Ask]) -> list[UserFeatures | StageFailed]:
        if self._breaker.is_open:
            raise StageFailed("unavailable", "the online store kept failing; a canary is out to see when it is back")
        try:
            rows = await self._read(asks)
        except StageFailed:
            self._breaker.failed(certain=False)
            raise
        self._breaker.succeeded()
        return rows

    async def aclose(self) -> None:
        await self._breaker.close()
        await self._store.aclose()

    async def _read(self, asks: Sequence[Ask]) -> list[UserFeatures | StageFailed]:
        """Raises `StageFailed` also when the store answers, but nobody gets a row of it."""
        try:
            async with asyncio.timeout(self._patience_s):
                rows = await self._store.fetch(asks)
        except TimeoutError as error:
            raise StageFailed("timeout", f"the online store did not answer within {self._patience_s * 1e3:.0f} ms") from error
        refusals = [row for row in rows if isinstance(row, StageFailed) and row.reason == "unavailable"]
        if refusals and len(refusals) == len(rows):
            raise refusals[0]
        return rows
