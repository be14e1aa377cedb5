"""When a failed call is tried again: on UNAVAILABLE only, with growing random pauses, never past the caller's deadline."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

import grpc


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between tries: `initial_s`, then twice as long each time up to `longest_s`, each cut by up to half at random.

    `tries` counts the first call too; 1 turns retries off.
    """

    initial_s: float = 0.05
    longest_s: float = 1.0
    tries: int = 10

    def pause_s(self, failures: int) -> float:
        """The pause after so many failures, which is 1 or more."""
        longest_s = min(self.longest_s, self.initial_s * 2.0 ** (failures - 1))
        return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 (spreads callers out in time)


class Attempts:
    """The tries of one call, under one deadline."""

    def __init__(self, backoff: Backoff, timeout_s: float) -> None:
        self._backoff = backoff
        self._deadline_s = time.monotonic() + timeout_s
        self._failures = 0

    def remaining_s(self) -> float:
        return max(self._deadline_s - time.monotonic(), 0.0)

    def pause_s(self, error: grpc.RpcError) -> float | None:
        """How long to wait before the next try; None when there is no sense in another."""
        self._failures += 1
        if error.code() is not grpc.StatusCode.UNAVAILABLE or self._failures >= self._backoff.tries:
            return None
        pause_s = self._backoff.pause_s(self._failures)
        return pause_s if pause_s < self.remaining_s() else None
