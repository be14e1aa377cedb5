"""How many calls of one model may be under way at once."""

from __future__ import annotations


class Window:
    """Follows the workers and how calls go; at least 1, never more than `at_most`.

    A worker does one job at a time. What waits for it here goes together as the next call; what waits in front of it there is on
    its own, and runs even when nobody wants it any more. So there are never more calls than workers: with one worker one call,
    and everyone else joins.

    Several gateways may share the workers, and a worker may be slow: a call that was refused or came too late halves the window,
    and as many good calls as it is wide widen it by one (additive increase, multiplicative decrease: gateways that do not know of
    each other come to equal shares by it; source: Chiu and Jain 1989). Latency counts only as time-outs. It rises by design when
    more queries share a call, and is no sign of overload.
    """

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._wide = float(at_most)

    def room(self, workers: int) -> int:
        """Calls that may be under way, with so many workers ready."""
        return max(1, int(min(self._wide, workers)))

    def went_well(self) -> None:
        self._wide = min(self._wide + 1 / self._wide, float(self._at_most))

    def went_wrong(self, workers: int) -> None:
        self._wide = max(1.0, min(self._wide, workers) / 2)
