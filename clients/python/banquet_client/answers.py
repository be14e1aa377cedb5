"""What an answer holds: items best first, and what it says about itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an item is where it is; `ranking_score` is None when ranking was left out, `attributes` are catalogue values."""

    source_score: float
    ranking_score: float | None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One item. Scores compare within one answer only; `explanation` is there when the call asked for it."""

    item_id: str
    score: float
    source: str
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True)
class Degradation:
    """Something left out of the answer, and why."""

    stage: str
    reason: str


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one stage took; `model_ms` and `backend` are 0 and empty for a stage without a model."""

    stage: str
    elapsed_ms: float
    model_ms: float
    backend: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Items best first. `release` is empty when no model answered; `degradations` is empty when nothing was left out."""

    request_id: str
    items: tuple[Recommendation, ...]
    release: str
    catalogue_version: str
    catalogue_age_s: float
    degradations: tuple[Degradation, ...] = ()
    timings: tuple[Timing, ...] = ()

    @property
    def item_ids(self) -> tuple[str, ...]:
        return tuple(item.item_id for item in self.items)
