"""Feast's own jobs run against the live store while callers are served."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from banquet_client import AsyncBanquetClient, ClientError

from tests.e2e.conftest import Served, environment
from tests.e2e.test_serving import known_users

log = logging.getLogger(__name__)

PER_S = 100
WRONG = ("users: unknown_user", "users: unavailable", "users: bad_value", "ranking: defaults_used", "cascade: defaults_used")
# A longer run that says what it saw: BANQUET_FEAST_ROUNDS=10 pytest --log-cli-level=INFO
ROUNDS = int(os.environ.get("BANQUET_FEAST_ROUNDS", "1"))
FEAST = Path(sys.executable).with_name("feast")


@dataclass
class Callers:
    """Ask for known users, `PER_S` times a second whatever happens, and note what came back."""

    users: list[str]
    asked: int = 0
    failures: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)

    async def run(self, address: str, stop: asyncio.Event) -> None:
        began_s = time.perf_counter()
        async with AsyncBanquetClient(address, timeout_s=2.0) as client, asyncio.TaskGroup() as group:
            while not stop.is_set():
                due_s = began_s + self.asked / PER_S
                await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
                group.create_task(self._ask(client, self.users[self.asked % len(self.users)], due_s))
                self.asked += 1

    async def _ask(self, client: AsyncBanquetClient, user: str, due_s: float) -> None:
        try:
            answer = await client.recommend(user, placement="home", limit=10)
        except ClientError as error:
            self.failures.append(repr(error))
            return
        self.latencies_ms.append((time.perf_counter() - due_s) * 1e3)
        self.reasons.update(f"{lost.stage}: {lost.reason}" for lost in answer.degradations)
        if len(answer.items) != 10:
            self.failures.append(f"{user} got {len(answer.items)} items")

    def __str__(self) -> str:
        times = sorted(self.latencies_ms)
        p50, p99 = (times[len(times) * percent // 100] for percent in (50, 99))
        return f"{self.asked} asked, p50 {p50:.1f} ms, p99 {p99:.1f} ms, {len(self.failures)} failed, {dict(self.reasons)}"

    @property
    def wrong(self) -> dict[str, int]:
        """What a user who is known and whole can never have met."""
        return {reason: number for reason, number in self.reasons.items() if reason in WRONG}


async def feast(served: Served, *arguments: str) -> None:
    """The real command, a little less important than the answers."""
    process = await asyncio.create_subprocess_exec(
        "nice",
        str(FEAST),
        *arguments,
        cwd=served.folder / "feature_repo",
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-3000:]


async def test_materialize_and_apply_cost_callers_nothing(served: Served) -> None:
    """`feast materialize` and `feast apply` beside 100 requests/s: none fails, known users stay known and whole."""
    callers, stop = Callers(known_users(served)), asyncio.Event()
    asking = asyncio.create_task(callers.run(served.address, stop))
    try:
        for _ in range(ROUNDS):
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
            await feast(served, "materialize", "2000-01-01T00:00:00", now)
            await feast(served, "apply")
    finally:
        stop.set()
        await asking
    log.info("%s", callers)
    assert callers.asked > 2 * PER_S
    assert callers.failures == [], str(callers)
    assert callers.wrong == {}, str(callers)
    # A machine that is short of cores may read somebody too late, and says so.
    assert callers.reasons["users: timeout"] < 0.01 * callers.asked, str(callers)
