"""Forgetting people over the wire: ask, wait while there is time, tell how far it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from banquet.api.translation import checked_key
from banquet.core.errors import NotThere
from banquet.core.evaluation_users import EVERY_EVALUATION_USER
from banquet.core.ids import KeyTypes
from banquet.v1 import operations_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

    from banquet.core.erasure import Erasure, ErasureRequests

# For callers without a deadline, and as a cap for patient ones: who waits takes the place of a call.
LONGEST_WAIT_S = 30.0
REPLY_RESERVE_S = 0.1
LOOK_S = 0.05


class Forgetting:
    """Answers from a port that makes requests durable; others carry them out."""

    def __init__(self, requests: ErasureRequests, keys: Callable[[], KeyTypes] = KeyTypes) -> None:
        self._requests = requests
        self._keys = keys

    async def forget(self, user_id: str, remaining_s: float | None) -> pb.Erasure:
        """The erasure when it is done in time, or how far it is. Raises `BadRequest` or `Overloaded`."""
        if user_id != EVERY_EVALUATION_USER:
            checked_key("user_id", user_id, self._keys().user)
        erasure: Erasure = await asyncio.to_thread(self._requests.request, user_id)
        wait_s = LONGEST_WAIT_S if remaining_s is None else min(remaining_s - REPLY_RESERVE_S, LONGEST_WAIT_S)
        try:
            async with asyncio.timeout(max(0.0, wait_s)):
                while not erasure.done:
                    await asyncio.sleep(LOOK_S)
                    found = await asyncio.to_thread(self._requests.find, erasure.erasure_id)
                    erasure = found or erasure
        except TimeoutError:
            # It goes on without the caller.
            pass
        return to_message(erasure)

    async def find(self, erasure_id: str) -> pb.Erasure:
        """Raises `NotThere` for an id that was never given, or long ago."""
        erasure = await asyncio.to_thread(self._requests.find, erasure_id)
        if erasure is None:
            raise NotThere(f"erasure_id {erasure_id[:64]!r} is not known; done erasures are known for 30 days")
        return to_message(erasure)


def to_message(erasure: Erasure) -> pb.Erasure:
    return pb.Erasure(
        erasure_id=erasure.erasure_id,
        done=erasure.done,
        places=[pb.ErasedPlace(place=found.place, removed=found.removed, left=found.left) for found in erasure.places],
        detail=erasure.detail,
    )
