"""Work done beside the event loop comes back, whatever became of it or of whoever waits."""

import asyncio
import threading
import time

import pytest

from banquet.features.stores.side_thread import SideThread


async def test_work_is_done_elsewhere_in_its_order() -> None:
    """One thread, which is not the loop's."""
    beside = SideThread("beside")
    order: list[int] = []
    await asyncio.gather(*(beside.run(lambda number=number: order.append(number)) for number in range(20)))
    assert order == list(range(20))
    assert await beside.run(lambda: threading.current_thread().name) == "beside"
    beside.close()


async def test_an_error_belongs_to_whoever_waits() -> None:
    """And the next piece of work is done all the same."""
    beside = SideThread("beside")
    with pytest.raises(ZeroDivisionError):
        await beside.run(lambda: 1 / 0)
    assert await beside.run(lambda: 7) == 7
    beside.close()


async def test_work_that_nobody_waits_for_is_not_begun() -> None:
    """What is under way ends in peace."""
    beside, begun = SideThread("beside"), []
    under_way = asyncio.create_task(beside.run(lambda: time.sleep(0.2)))
    await asyncio.sleep(0.05)
    queued = asyncio.create_task(beside.run(lambda: begun.append(1)))
    await asyncio.sleep(0.05)
    under_way.cancel()
    queued.cancel()
    assert await beside.run(lambda: 7) == 7
    assert not begun
    beside.close()
