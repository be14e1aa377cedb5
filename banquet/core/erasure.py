"""Forgetting a person: what was removed from which place, and the proof that nothing is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ErasedPlace:
    """One place: how much was `removed`, and how much a scan found afterwards."""

    place: str
    removed: int
    left: int


@dataclass(frozen=True, slots=True)
class Erasure:
    """One person's removal. `done` when nothing is left anywhere; `detail` is what stands in the way until then."""

    erasure_id: str
    done: bool = False
    places: tuple[ErasedPlace, ...] = ()
    detail: str = ""

    def noted(self, found: ErasedPlace) -> Erasure:
        """With one more visit to a place: what is removed adds up, what is left is the last scan's.

        `removed` is below 0 when less was removed than was thought at an earlier visit.
        """
        known = {place.place: place for place in self.places}
        before = known.get(found.place, ErasedPlace(found.place, 0, 0))
        known[found.place] = ErasedPlace(found.place, max(0, before.removed + found.removed), found.left)
        return Erasure(self.erasure_id, self.done, tuple(known.values()), self.detail)


class Place(Protocol):
    """Somewhere a person can be. Both raise a `BanquetError` or `OSError` when it cannot be reached; then it is tried again."""

    @property
    def name(self) -> str: ...

    def erase(self, user_id: str) -> int:
        """Remove the person; how many records, rows or answers that were, as far as it is known. Safe to repeat."""
        ...

    def count(self, user_id: str) -> int:
        """What there is of the person."""
        ...


class ErasureRequests(Protocol):
    """Takes requests to forget people and knows how far they are."""

    def request(self, user_id: str) -> Erasure:
        """Durable when this returns. Raises `Overloaded` when the disk refuses."""
        ...

    def find(self, erasure_id: str) -> Erasure | None: ...
