"""Appends events without end from eight tasks and tells each acknowledged id on standard output: killed by its test."""

import asyncio
import os
import sys
from pathlib import Path

from banquet.feedback.event_log import FileEventLog
from tests.unit.feedback.fakes import make_event


async def append_for_ever(folder: Path, run: str) -> None:
    log = FileEventLog(folder, segment_bytes=20_000)

    async def task(name: str) -> None:
        number = 0
        while True:
            ids = [f"{run}-{name}-{number + k}" for k in range(5)]
            await log.append([make_event(number, event_id=event_id, user="u" * 50) for event_id in ids])
            os.write(1, "".join(f"{event_id}\n" for event_id in ids).encode())
            number += 5

    await asyncio.gather(*(task(str(number)) for number in range(8)))


if __name__ == "__main__":
    asyncio.run(append_for_ever(Path(sys.argv[1]), sys.argv[2]))
