"""A running gateway answering: histories are recorded for evaluation users, who are asked for and forgotten afterwards."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from banquet_client import AsyncBanquetClient, DeadlineExceeded, Event, Overloaded, Unavailable

from banquet.app.live_release import MODEL_FAILURES
from banquet.core.errors import BadSettings, StageFailed
from banquet.core.evaluation_users import EVERY_EVALUATION_USER, HIGHEST, LOWEST, evaluation_user
from banquet.training.evaluate import TOP

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from banquet_client import Answer

    from banquet.app.evaluation.cases import Case, Cases, Question

# More of a history than this is in nobody's features but counters.
MOST_EVENTS = 200
EVENTS_PER_CALL = 1000
TIMEOUT_S = 2.0
RECORD_TIMEOUT_S = 30.0
FORGET_WITHIN_S = 300.0
# How long the consumer may take until the last of all events is in the next answer.
SEEN_WITHIN_S = 600.0
LOOK_S = 0.2
# How often a question is asked until nothing of the models is missing in the answer.
TRIES = 5
MOST_USERS = HIGHEST - LOWEST
NO_HISTORY = "empty_history"


class GatewayUsers:
    """Answers cases by asking a gateway as evaluation users. `degraded` counts answers that still lacked a model's part."""

    def __init__(self, client: AsyncBanquetClient, cases: Cases, first: int) -> None:
        self._client = client
        self._cases = cases
        self._ids = {target: evaluation_user(first + place) for place, target in enumerate(cases.targets.tolist())}
        # The last one's events come behind all others', so that whoever sees them sees all.
        self._last, self._stranger = (evaluation_user(first + len(self._ids) + more) for more in (0, 1))
        self.degraded = 0

    async def answer(self, question: Question, case: Case) -> Sequence[str]:
        user = self._ids[case.target] if case.history else self._stranger
        for attempt in range(1, TRIES + 1):
            try:
                answer = await self._ask(question, case, user)
            except (DeadlineExceeded, Overloaded, Unavailable):
                if attempt == TRIES:
                    raise
            else:
                if not any(lost.reason in MODEL_FAILURES for lost in answer.degradations):
                    return answer.item_ids
            await asyncio.sleep(LOOK_S * attempt)
        self.degraded += 1
        return answer.item_ids

    async def record(self, done: Callable[[int], None]) -> None:
        """Record every history, and wait until the gateway knows all of them; `done` gets the number of users recorded."""
        batch: list[Event] = []
        for number, target in enumerate(self._cases.targets.tolist()):
            events = self._events(target)
            if len(batch) + len(events) > EVENTS_PER_CALL:
                await self._client.record(batch, timeout_s=RECORD_TIMEOUT_S)
                done(number)
                batch = []
            batch += events
        item = self._cases.item_ids[0]
        await self._client.record([*batch, Event(user_id=self._last, item_id=item, type="click")], timeout_s=RECORD_TIMEOUT_S)
        for _ in range(round(SEEN_WITHIN_S / LOOK_S)):
            await asyncio.sleep(LOOK_S)
            if await self._is_known(self._last):
                break
        else:
            raise StageFailed(
                "events_not_seen", f"after {SEEN_WITHIN_S:.0f} s the gateway knows no recorded history; see its status"
            )
        done(len(self._ids))

    async def _is_known(self, user: str) -> bool:
        """Whether the gateway knows a history of the user; a gateway that is busy with events may be late to say so."""
        try:
            answer = await self._client.recommend(user, self._cases.placement, 1, timeout_s=TIMEOUT_S)
        except (DeadlineExceeded, Overloaded):
            return False
        return NO_HISTORY not in {lost.reason for lost in answer.degradations}

    def _events(self, target: int) -> list[Event]:
        """The newest, a microsecond apart: they must be later than whatever was forgotten before."""
        log = self._cases.log
        positions = self._cases.history_positions(target)[-MOST_EVENTS:]
        now = datetime.now(UTC)
        events = []
        for place, position in enumerate(positions.tolist()):
            value = float(log.values[position])
            is_rating = value == value  # noqa: PLR0124 - not NaN
            events.append(
                Event(
                    user_id=self._ids[target],
                    item_id=self._cases.item_ids[log.item[position]],
                    type="rating" if is_rating else "click",
                    value=value if is_rating else None,
                    time=now - timedelta(microseconds=len(positions) - place),
                )
            )
        return events

    async def _ask(self, question: Question, case: Case, user: str) -> Answer:
        filters = {question.filter_by: [case.filter_value]} if question.filter_by else None
        match question.call:
            case "rank":
                return await self._client.rank(user, case.item_ids, limit=TOP, timeout_s=TIMEOUT_S)
            case "similar":
                return await self._client.similar(case.page_item, TOP, exclude=case.history, user_id=user, timeout_s=TIMEOUT_S)
            case "recommend":
                return await self._client.recommend(
                    user, question.placement, TOP, item_id=case.page_item, filters=filters, timeout_s=TIMEOUT_S
                )


async def _forget(client: AsyncBanquetClient) -> None:
    """Until they are gone from everywhere: one call waits for a while, and then it goes on by itself."""
    erasure = await client.forget(EVERY_EVALUATION_USER)
    for _ in range(round(FORGET_WITHIN_S / LOOK_S)):
        if erasure.done:
            return
        await asyncio.sleep(LOOK_S)
        erasure = await client.erasure(erasure.erasure_id)
    raise StageFailed("not_forgotten", f"after {FORGET_WITHIN_S:.0f} s: {erasure.detail}; `banquet forget` goes on with it")


async def served_release(address: str) -> str:
    """The version that a gateway serves. Raises `banquet_client.ClientError`."""
    async with AsyncBanquetClient(address, timeout_s=TIMEOUT_S) as client:
        return (await client.status()).release.version


@asynccontextmanager
async def gateway_users(address: str, cases: Cases, done: Callable[[int], None]) -> AsyncIterator[GatewayUsers]:
    """Evaluation users whose histories a gateway knows; they are forgotten at the end.

    Raises `banquet_client.ClientError` and `StageFailed`.
    """
    needed = len(cases.targets) + 2
    if needed > MOST_USERS:
        raise BadSettings(f"--users {len(cases.targets)} is more than a gateway takes; ask for at most {MOST_USERS - 2}")
    async with AsyncBanquetClient(address, timeout_s=TIMEOUT_S) as client:
        users = GatewayUsers(client, cases, random.randrange(MOST_USERS - needed + 1))  # noqa: S311 - no secret
        try:
            await users.record(done)
            yield users
        finally:
            await _forget(client)
