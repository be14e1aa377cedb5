"""What every user reader promises, the fake among them: `core.stages.UserReader`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from banquet.core.errors import StageFailed
from banquet.core.query import UserFeatures
from banquet.core.stages import UserReader
from banquet.features.project.layout import LayoutFile
from banquet.features.project.repo import RedisStore
from banquet.features.stores.generic import FeastCells
from banquet.features.stores.redis import RedisCells
from banquet.features.stores.sqlite import SqliteCells
from banquet.features.users.joined import JoinedUserReader
from banquet.features.users.opening import open_user_reader
from banquet.features.users.stored import StoredUsers
from tests.fakes import FakeUsers
from tests.integration.features.world import LONG, ODD_ID, World, redis_world, sqlite_world

ADA = {"age": 36, "city": "Köln", "tags": ["x", "y"], "height": 1.5, "income": 1e300, "vip": True}
COUNTERS = {"interaction_count": 3, "rating_count": 2, "rating_mean": 2.5}


@dataclass
class Case:
    """A reader, how its users are changed, and one like it whose store is gone."""

    reader: UserReader
    push: Callable[[str, list[str]], None]
    broken: UserReader
    close: Callable[[], Awaitable[None]]


def fake() -> Case:
    known = {
        "ada": UserFeatures("ada", ADA | COUNTERS, (ODD_ID, "i2", "i1"), found=True),
        "bob": UserFeatures("bob", dict.fromkeys([*ADA, *COUNTERS]) | {"vip": False}, (), found=True),
        ODD_ID: UserFeatures(ODD_ID, {"city": LONG, "age": 2**40}, ("i1",), found=True),
    }
    users = FakeUsers(known)

    def push(user_id: str, history: list[str]) -> None:
        users.known[user_id] = UserFeatures(user_id, {}, tuple(history), found=True)

    async def close() -> None: ...

    return Case(users, push, FakeUsers(broken=True), close)


def real(world: World, *, generic: bool) -> Case:
    layout = LayoutFile(world.catalogue)
    reader = open_user_reader(world.repo, world.catalogue)
    if generic:
        reader = JoinedUserReader(StoredUsers(FeastCells(world.repo), layout))
    if isinstance(world.repo.store, RedisStore):
        gone = JoinedUserReader(StoredUsers(RedisCells({"host": "127.0.0.1", "port": 9}), layout))
    else:
        gone = JoinedUserReader(StoredUsers(SqliteCells(world.repo.folder / "no.db"), layout))

    async def close() -> None:
        await reader.aclose()
        await gone.aclose()

    return Case(reader, world.push_user, gone, close)


@pytest.fixture(params=["fake", "sqlite", "redis", "generic on sqlite", "generic on redis"])
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    if request.param == "fake":
        case = fake()
    else:
        world = redis_world() if request.param.endswith("redis") else sqlite_world()
        case = real(world, generic=request.param.startswith("generic"))
    yield case
    await case.close()


async def test_a_known_user_comes_with_values_and_history(case: Case) -> None:
    """Profile and activity in one, the history newest first and no value of its own."""
    user = await case.reader.read("ada")
    assert {name: user.values[name] for name in ADA | COUNTERS} == ADA | COUNTERS
    assert (user.user_id, user.history, user.found) == ("ada", (ODD_ID, "i2", "i1"), True)


async def test_an_unknown_user_is_an_answer(case: Case) -> None:
    """Not found, without a value; Redis says PRESENT of such a user, and is not believed."""
    user = await case.reader.read("nobody")
    assert (user.user_id, user.found, user.history) == ("nobody", False, ())
    assert all(value is None for value in user.values.values())


async def test_a_stored_null_is_none_of_a_known_user(case: Case) -> None:
    """Someone about whom little is known is known all the same."""
    user = await case.reader.read("bob")
    assert user.found
    assert (user.values["age"], user.values["city"], user.values["rating_mean"], user.history) == (None, None, None, ())


async def test_ids_and_values_may_be_any_text(case: Case) -> None:
    """Unicode, spaces, quotes, and texts longer than 127 bytes."""
    user = await case.reader.read(ODD_ID)
    assert (user.found, user.values["city"], user.values["age"], user.history) == (True, LONG, 2**40, ("i1",))


@pytest.mark.parametrize("user_id", ["", "x" * 10_000, "\x00", "%s'; --"])
async def test_strange_ids_are_unknown_users(case: Case, user_id: str) -> None:
    """Whatever a caller sends, the store is not harmed."""
    assert not (await case.reader.read(user_id)).found


async def test_concurrent_reads_get_their_own_users(case: Case) -> None:
    """Joined or not, nobody gets another's row."""
    ids = ["ada", "nobody", ODD_ID, "ada", "bob"] * 20
    users = await asyncio.gather(*(case.reader.read(user_id) for user_id in ids))
    assert [user.user_id for user in users] == ids
    assert [user.found for user in users[:5]] == [True, False, True, True, True]
    assert users[0] == users[3]


async def test_a_push_is_in_the_next_read(case: Case) -> None:
    """Nothing is cached: a click counts at once."""
    user_id = f"pushed {id(case)}"
    assert not (await case.reader.read(user_id)).found
    case.push(user_id, ["i2", "i1"])
    user = await case.reader.read(user_id)
    assert (user.found, user.history) == (True, ("i2", "i1"))


async def test_a_store_that_is_gone_is_unavailable(case: Case) -> None:
    """One word for metrics and degradations, within a second."""
    async with asyncio.timeout(1.0):
        with pytest.raises(StageFailed) as failure:
            await case.broken.read("ada")
    assert failure.value.reason == "unavailable"
