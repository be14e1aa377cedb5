"""The children of `banquet up`."""

from __future__ import annotations

import asyncio

from banquet.app.processes import Child


async def test_a_child_computes_on_one_thread(tmp_path):
    """The cores are for those who serve, and BLAS would take all of them."""
    said = tmp_path / "log"
    child = Child("counter", ["tests.unit.app.count_threads"], said)
    await child.start()
    async with asyncio.timeout(30):
        while not said.exists() or not said.read_text():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
    await child.stop(1.0)
    assert said.read_text().split()[0] == "1"
