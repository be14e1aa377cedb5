"""Reads of concurrent queries become one."""

import asyncio
from collections.abc import Sequence

import pytest

from banquet.core.errors import StageFailed
from banquet.core.query import UserFeatures
from banquet.features.users.joined import ROUND_LIMIT, Ask, JoinedUserReader


class SlowStore:
    """Answers after a while and remembers what it was asked."""

    def __init__(self) -> None:
        self.rounds: list[list[str]] = []
        self.broken = False
        self.closed = False
        self.open_door = asyncio.Event()
        self.open_door.set()

    async def fetch(self, asks: Sequence[Ask]) -> list[UserFeatures | StageFailed]:
        user_ids = [ask.user_id for ask in asks]
        self.rounds.append(user_ids)
        await self.open_door.wait()
        if self.broken:
            raise StageFailed("unavailable", "no store")
        return [StageFailed("bad_value") if user_id == "bad" else UserFeatures(user_id, found=True) for user_id in user_ids]

    async def aclose(self) -> None:
        self.closed = True


async def test_whoever_comes_during_a_round_shares_the_next_one() -> None:
    """The first is read at once; the others wait for it and are then read together."""
    store = SlowStore()
    store.open_door.clear()
    reader = JoinedUserReader(store)
    reads = [asyncio.create_task(reader.read("first"))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reads += [asyncio.create_task(reader.read(user_id)) for user_id in ("a", "b", "a")]
    await asyncio.sleep(0)
    store.open_door.set()
    assert [user.user_id for user in await asyncio.gather(*reads)] == ["first", "a", "b", "a"]
    assert store.rounds == [["first"], ["a", "b"]]


async def test_one_users_trouble_is_that_users_alone() -> None:
    """A row that cannot be decoded costs nobody else an answer."""
    reader = JoinedUserReader(SlowStore())
    good, bad = await asyncio.gather(reader.read("good"), reader.read("bad"), return_exceptions=True)
    assert isinstance(good, UserFeatures)
    assert isinstance(bad, StageFailed)


async def test_a_broken_store_fails_its_round_and_heals_by_itself() -> None:
    """The next read asks the store again."""
    store = SlowStore()
    store.broken = True
    reader = JoinedUserReader(store)
    with pytest.raises(StageFailed, match="unavailable"):
        await reader.read("a")
    store.broken = False
    assert (await reader.read("a")).found


async def test_callers_who_gave_up_are_not_read() -> None:
    """A timeout upstream cancels the wait; the store is spared."""
    store = SlowStore()
    store.open_door.clear()
    reader = JoinedUserReader(store)
    first = asyncio.create_task(reader.read("first"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read("hasty"), 0.001)
    store.open_door.set()
    await first
    await reader.read("later")
    assert store.rounds == [["first"], ["later"]]


async def test_a_round_is_bounded() -> None:
    """A flood is read in portions, nobody is forgotten."""
    store = SlowStore()
    reader = JoinedUserReader(store)
    users = await asyncio.gather(*(reader.read(str(number)) for number in range(ROUND_LIMIT + 3)))
    assert len(users) == ROUND_LIMIT + 3
    assert [len(asked) for asked in store.rounds] == [ROUND_LIMIT, 3]


async def test_closing_lets_nobody_wait_for_ever() -> None:
    """Whoever still waits hears that the store is gone."""
    store = SlowStore()
    store.open_door.clear()
    reader = JoinedUserReader(store)
    waiting = [asyncio.create_task(reader.read("in flight"))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.append(asyncio.create_task(reader.read("queued")))
    await asyncio.sleep(0)
    await reader.aclose()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StageFailed, StageFailed]
    assert store.closed
