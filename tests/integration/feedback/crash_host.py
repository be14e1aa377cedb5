"""Loads Feast once and forks consumers, which it kills at random moments while segments arrive; the last one may finish.
Prints how many kills found work undone.

Arguments: folder of the log, the state file, the Feast repository, a file of segments to come, the number of kills.
"""

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

from banquet.feedback.consumer import run_consumer
from banquet.feedback.feast_push import FeastActivity
from banquet.feedback.lag import consumer_lag
from banquet.feedback.pushing import Pace

# Small batches, so that a kill finds the consumer at every kind of work.
PACE = Pace(poll_s=0.001, batch_events=1, user_rows=40, item_rows=40, items_every_s=0.0)


def fork_consumer(log: Path, state: Path, repo: Path) -> int:
    child = os.fork()
    if child == 0:
        try:
            run_consumer(log, state, FeastActivity(repo), threading.Event(), PACE)
        finally:
            os._exit(1)
    return child


def end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def main(log: Path, state: Path, repo: Path, to_come: Path, kills: int) -> None:
    chance = random.Random(5)
    segments = sorted(to_come.iterdir())
    hits = 0
    share = -(-len(segments) // kills)
    for kill in range(kills):
        for segment in segments[kill * share : (kill + 1) * share]:
            segment.rename(log / segment.name)
        child = fork_consumer(log, state, repo)
        time.sleep(chance.uniform(0.1, 0.5))
        end(child)
        hits += not consumer_lag(log, state).none
    child = fork_consumer(log, state, repo)
    give_up_s = time.monotonic() + 60
    while not consumer_lag(log, state).none and time.monotonic() < give_up_s:
        time.sleep(0.02)
    end(child)
    sys.stdout.write(str(hits))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]), int(sys.argv[5]))
