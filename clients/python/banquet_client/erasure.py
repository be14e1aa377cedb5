"""What became of a request to forget someone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErasedPlace:
    """One place: how much was `removed`, and how much a scan found afterwards."""

    place: str
    removed: int
    left: int


@dataclass(frozen=True, slots=True)
class Erasure:
    """`done` when nothing is left anywhere. Until then it goes on by itself; `detail` says what is in the way."""

    erasure_id: str
    done: bool
    places: tuple[ErasedPlace, ...]
    detail: str
