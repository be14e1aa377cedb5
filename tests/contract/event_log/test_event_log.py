"""What every event log promises, the fake of the unit tests included."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from banquet.core.errors import Overloaded
from banquet.feedback.event_log import FileEventLog
from banquet.feedback.ports import EventLog, Recorded
from banquet.feedback.tail import Tail
from tests.unit.feedback.fakes import MemoryEventLog, make_event


@pytest.fixture(params=["memory", "file"])
async def event_log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventLog]:
    log: EventLog = MemoryEventLog() if request.param == "memory" else FileEventLog(tmp_path)
    yield log
    await log.close()


def recorded_ids(event_log: EventLog, folder: Path) -> list[str]:
    events = event_log.events if isinstance(event_log, MemoryEventLog) else Tail(folder).read({}, 1_000).events
    return [event.event_id for event in events]


async def test_events_are_there_once_append_returns(event_log: EventLog, tmp_path: Path) -> None:
    """In the order in which they were given."""
    assert await event_log.append([make_event(1), make_event(2)]) == Recorded(2, 0)
    assert await event_log.append([make_event(3)]) == Recorded(1, 0)
    assert recorded_ids(event_log, tmp_path) == ["e1", "e2", "e3"]


async def test_an_event_id_counts_once(event_log: EventLog, tmp_path: Path) -> None:
    """Within a batch and between batches."""
    assert await event_log.append([make_event(1), make_event(1), make_event(2)]) == Recorded(2, 1)
    assert await event_log.append([make_event(2), make_event(3)]) == Recorded(1, 1)
    assert recorded_ids(event_log, tmp_path) == ["e1", "e2", "e3"]


async def test_concurrent_appends_all_arrive(event_log: EventLog, tmp_path: Path) -> None:
    """Each is told its own outcome."""
    outcomes = await asyncio.gather(*(event_log.append([make_event(n), make_event(n // 2)]) for n in range(100)))
    assert sum(outcome.recorded for outcome in outcomes) == 100
    assert sum(outcome.duplicates for outcome in outcomes) == 100
    assert sorted(recorded_ids(event_log, tmp_path)) == sorted(f"e{n}" for n in range(100))


async def test_no_events_are_nothing(event_log: EventLog) -> None:
    """And no error."""
    assert await event_log.append([]) == Recorded(0, 0)


async def test_a_closed_log_refuses(event_log: EventLog) -> None:
    """The caller may go elsewhere."""
    await event_log.close()
    with pytest.raises(Overloaded):
        await event_log.append([make_event(1)])
