"""Loads Feast once and forks writers, as gateways are, and consumers, and kills them at random moments of a run of events.

A caller that got no answer sends its events again to the next writer. When all is written, the last consumer may finish.
Arguments: the work folder (`log`, `state.db`, a file `to-send` of records), the Feast repository, the number of kills of each.
Prints as JSON how many kills found something undone, and the ids that were acknowledged.
"""

import asyncio
import json
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from banquet.feedback.consumer import Surroundings, run_consumer
from banquet.feedback.event_log import FileEventLog
from banquet.feedback.events import Event, decode
from banquet.feedback.feast_offline import FeastOffline
from banquet.feedback.feast_push import FeastActivity
from banquet.feedback.lag import consumer_lag
from banquet.feedback.pushing import Pace

# Small batches, so that a kill finds the consumer at every kind of work.
PACE = Pace(poll_s=0.001, batch_events=100, user_rows=40, item_rows=40, items_every_s=0.0, offline_every_s=0.2)
SENT_AT_ONCE = 5
CALLERS = 4
PAUSE_S = 0.02
GIVE_UP_S = 120


def forked(work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            logging.getLogger(__name__).exception("a child ends")
        finally:
            os._exit(1)
    return child


def end(child: int) -> bool:
    """Kill a child; whether it was still there."""
    lived = os.waitpid(child, os.WNOHANG) == (0, 0)
    if lived:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return lived


def consume(work: Path, repo: Path) -> None:
    store = FeastActivity(repo)
    around = Surroundings(offline=FeastOffline(store, repo))
    run_consumer(work / "log", work / "state.db", store, threading.Event(), PACE, around)


async def send(log: Path, events: list[Event], answers: int) -> None:
    """Append with a few callers at a time; a byte per answered batch names the caller."""
    written = FileEventLog(log, segment_bytes=200_000)
    shares = [events[caller::CALLERS] for caller in range(CALLERS)]

    async def caller(number: int) -> None:
        for start in range(0, len(shares[number]), SENT_AT_ONCE):
            await written.append(shares[number][start : start + SENT_AT_ONCE])
            os.write(answers, bytes([number]))
            await asyncio.sleep(PAUSE_S)

    await asyncio.gather(*map(caller, range(CALLERS)))
    await written.close()


class Sender:
    """Starts writers with whatever was not answered yet, until everything was."""

    def __init__(self, log: Path, events: list[Event]) -> None:
        self._log = log
        self._shares = [events[caller::CALLERS] for caller in range(CALLERS)]
        self.acknowledged: list[str] = []

    def start(self) -> None:
        # Interleaved as `send` deals them out again.
        longest = max(map(len, self._shares))
        left = [share[k] for k in range(longest) for share in self._shares if k < len(share)]
        self._sent = [left[caller::CALLERS] for caller in range(CALLERS)]
        self._answers, answers = os.pipe()
        self._child = forked(lambda: asyncio.run(send(self._log, left, answers)))
        os.close(answers)

    def kill(self) -> bool:
        lived = end(self._child)
        told = os.read(self._answers, 1 << 20)
        os.close(self._answers)
        for caller in range(CALLERS):
            done = told.count(caller) * SENT_AT_ONCE
            self.acknowledged += [event.event_id for event in self._sent[caller][:done]]
            self._shares[caller] = self._sent[caller][done:]
        return lived

    @property
    def done(self) -> bool:
        return not any(self._shares)


def main(work: Path, repo: Path, kills: int) -> None:
    chance = random.Random(5)
    log, state = work / "log", work / "state.db"
    sender = Sender(log, decode((work / "to-send").read_bytes()).events)
    hits = {"writer": 0, "consumer": 0}
    sender.start()
    consumer = forked(lambda: consume(work, repo))
    for kill in range(2 * kills):
        time.sleep(chance.uniform(0.05, 0.35))
        if kill % 2:
            end(consumer)
            hits["consumer"] += not consumer_lag(log, state).none
            consumer = forked(lambda: consume(work, repo))
        elif not sender.done:
            hits["writer"] += sender.kill()
            sender.start()
    give_up_s = time.monotonic() + GIVE_UP_S
    try:
        while not sender.done and time.monotonic() < give_up_s:
            time.sleep(0.5)
            sender.kill()
            sender.start()
        while not consumer_lag(log, state).none and time.monotonic() < give_up_s:
            time.sleep(0.05)
        told = {"hits": hits, "acknowledged": sender.acknowledged, "lag": str(consumer_lag(log, state))}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        # The consumer slides windows until the reader has compared.
        sys.stdin.read()
    finally:
        end(consumer)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
