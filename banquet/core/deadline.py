"""The time a query has."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock (`time.monotonic`, seconds) by which the answer must be sent."""

    at_s: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds)

    def remaining_s(self) -> float:
        """What is left, in seconds; never negative."""
        return max(0.0, self.at_s - time.monotonic())

    def passed(self) -> bool:
        return time.monotonic() >= self.at_s


@dataclass(slots=True)
class Lateness:
    """How late this process gets to what is due: the worst of late, halved every `half_life_s`; at most `largest_s`.

    On a busy machine timers fire late, and what is kept back for the end of an answer must grow by as much. More than that is a
    pause, such as a suspended machine's, which says nothing of what comes after it.
    """

    half_life_s: float = 5.0
    largest_s: float = 0.1
    _worst_s: float = 0.0
    _noted_s: float = field(default_factory=time.monotonic)

    def note(self, late_s: float) -> None:
        """Something due was done so many seconds after its time."""
        self._worst_s = max(self.now_s(), min(late_s, self.largest_s))
        self._noted_s = time.monotonic()

    def now_s(self) -> float:
        """In seconds; never negative."""
        return max(0.0, self._worst_s * math.exp2((self._noted_s - time.monotonic()) / self.half_life_s))
