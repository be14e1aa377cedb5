"""Workers counted in the background."""

import asyncio

from banquet.core.errors import StageFailed
from banquet.inference import roster as module
from banquet.inference.roster import Roster


async def test_it_follows_the_workers_and_says_none_when_nobody_tells(monkeypatch):
    """From the second look on, without anyone waiting for it."""
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    told = {"m": 2}

    async def count(model, timeout_s):
        if told[model] is None:
            raise StageFailed("unavailable")
        return told[model]

    roster = Roster(count)
    seen = [roster.ready("m")]
    for workers in (2, 3, None, 1):
        told["m"] = workers
        await asyncio.sleep(0.05)
        seen.append(roster.ready("m"))
    assert seen == [0, 2, 3, 0, 1]
    await roster.close()
