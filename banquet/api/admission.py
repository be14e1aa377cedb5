"""How many calls may be under way at once; more are refused at once rather than answered late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from banquet.core.errors import Overloaded

if TYPE_CHECKING:
    from types import TracebackType


class Admission:
    """A context that at most `most` of `what` can be within. Entering raises `Overloaded` when it is full."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._within = 0

    def __enter__(self) -> None:
        if self._within >= self._most:
            raise Overloaded(f"{self._within} {self._what} are under way, at most {self._most} may be; try again shortly")
        self._within += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._within -= 1
