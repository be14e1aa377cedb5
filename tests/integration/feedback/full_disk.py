"""Appends while the kernel refuses files beyond a size, as a disk that fills up does, and prints what happened as JSON."""

import asyncio
import json
import resource
import sys
from pathlib import Path

from banquet.core.errors import Overloaded
from banquet.feedback.event_log import FileEventLog
from tests.unit.feedback.fakes import make_event


def allow_bytes(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


async def append_some(log: FileEventLog, name: str) -> tuple[list[str], list[str]]:
    """Ids of 40 events in small batches: those acknowledged, and what was said about the others."""
    acknowledged, refusals = [], []
    for number in range(0, 40, 2):
        events = [make_event(number + k, event_id=f"{name}-{number + k}") for k in range(2)]
        try:
            await log.append(events)
            acknowledged += [event.event_id for event in events]
        except Overloaded as error:
            refusals.append(str(error))
    return acknowledged, refusals


async def main(folder: Path) -> None:
    log = FileEventLog(folder)
    found = {}
    for name, size in (("filling", 1_111), ("full", 0), ("freed", resource.RLIM_INFINITY)):
        allow_bytes(size)
        found[name] = await append_some(log, name)
    await log.close()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
