"""The user reader on a SQLite file, without Feast."""

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from banquet.core.errors import StageFailed
from banquet.features.project.layout import LayoutFile
from banquet.features.stores.sqlite import SqliteCells
from banquet.features.users.joined import JoinedUserReader
from banquet.features.users.stored import StoredUsers
from tests.unit.features.feast_bytes import Write, integer, make_anew, real, text, texts


@pytest.fixture
async def reader(store: Path, layout_folder: Path) -> AsyncIterator[JoinedUserReader]:
    reader = JoinedUserReader(StoredUsers(SqliteCells(store, busy_timeout_s=0.05), LayoutFile(layout_folder)))
    yield reader
    await reader.aclose()


async def test_a_user_is_put_together_from_both_views(reader: JoinedUserReader, write: Write) -> None:
    """Values by feature, the history apart, features of older definitions left out."""
    write("user_profile", "u", {"age": integer(7), "city": text("Köln"), "dropped": text("x")})
    write("user_activity", "u", {"history": texts(["b", "a"]), "rating_mean": real(0.5)})
    user = await reader.read("u")
    assert user.values == {"age": 7, "city": "Köln", "rating_mean": 0.5}
    assert (user.history, user.found) == (("b", "a"), True)


async def test_a_stored_null_is_none_of_a_known_user(reader: JoinedUserReader, write: Write) -> None:
    """Known, but without a value."""
    write("user_profile", "u", {"age": b"", "city": b""})
    user = await reader.read("u")
    assert user.found
    assert user.values == {"age": None, "city": None, "rating_mean": None}


async def test_an_unknown_user_is_an_answer(reader: JoinedUserReader) -> None:
    """Not an error."""
    user = await reader.read("nobody")
    assert (user.found, user.history, set(user.values.values())) == (False, (), {None})


async def test_many_users_are_read_at_once(reader: JoinedUserReader, write: Write) -> None:
    """Any number, each with their own."""
    for number in range(9):
        write("user_profile", str(number), {"age": integer(number)})
    users = await asyncio.gather(*(reader.read(str(number)) for number in range(9)))
    assert [user.values["age"] for user in users] == list(range(9))


async def test_a_write_is_seen_by_the_next_read(reader: JoinedUserReader, write: Write) -> None:
    """Nothing is cached."""
    write("user_profile", "u", {"age": integer(1)})
    await reader.read("u")
    write("user_profile", "u", {"age": integer(2)})
    assert (await reader.read("u")).values["age"] == 2


async def test_a_damaged_value_names_user_and_feature(reader: JoinedUserReader, write: Write) -> None:
    """And leaves other users alone."""
    write("user_profile", "u", {"age": b"\x20\xff"})
    with pytest.raises(StageFailed, match="bad_value: user 'u', feature 'age'"):
        await reader.read("u")


async def test_a_locked_store_costs_its_timeout_and_not_the_event_loop(
    reader: JoinedUserReader, store: Path, write: Write
) -> None:
    """While the reader waits for the lock, everything else goes on."""
    write("user_profile", "u", {"age": integer(1)})
    with sqlite3.connect(store, isolation_level=None) as locker:
        locker.execute("BEGIN EXCLUSIVE")
        began_s = time.monotonic()
        read = asyncio.create_task(reader.read("u"))
        beats = 0
        while not read.done():
            await asyncio.sleep(0.005)
            beats += 1
        assert time.monotonic() - began_s < 1.0
        assert beats >= 4
        with pytest.raises(StageFailed, match=r"unavailable.*locked"):
            read.result()
        locker.execute("ROLLBACK")
    locker.close()
    assert (await reader.read("u")).found


async def test_a_store_that_is_not_there_is_unavailable_until_it_is(store: Path, layout_folder: Path, tmp_path: Path) -> None:
    """Recovery needs no restart."""
    later = tmp_path / "later.db"
    reader = JoinedUserReader(StoredUsers(SqliteCells(later), LayoutFile(layout_folder)))
    with pytest.raises(StageFailed, match="unavailable"):
        await reader.read("u")
    os.rename(store, later)  # noqa: PTH104 - the same, and no file is read
    assert not (await reader.read("u")).found
    await reader.aclose()


async def test_a_store_made_anew_is_opened_anew(reader: JoinedUserReader, store: Path, write: Write) -> None:
    """A file replaced under the same name is not read from its old self."""
    write("user_profile", "u", {"age": integer(1)})
    await reader.read("u")
    make_anew(store)
    write("user_profile", "u", {"age": integer(2)})
    assert (await reader.read("u")).values["age"] == 2


async def test_a_view_that_was_never_applied_is_unavailable(reader: JoinedUserReader, store: Path) -> None:
    """The text says which table is missing."""
    with sqlite3.connect(store) as connection:
        connection.execute("DROP TABLE banquet_user_activity")
    connection.close()
    with pytest.raises(StageFailed, match=r"unavailable.*no such table: banquet_user_activity"):
        await reader.read("u")
