"""What a gateway has loaded and whether it works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part (`torchserve`, `catalogue`, ...); `detail` says what is wrong and what to do, empty when ready."""

    part: str
    ready: bool
    detail: str


@dataclass(frozen=True, slots=True)
class ModelStatus:
    model: str
    backend: str
    ready: bool


@dataclass(frozen=True, slots=True)
class ReleaseStatus:
    version: str
    models: tuple[ModelStatus, ...]


@dataclass(frozen=True, slots=True)
class ServedRelease:
    """A release that the gateway serves.

    `state` is `stable`, `loaded`, `canary`, `shadow` or `leaving`, `percent` its share of the users. The counts begin
    anew when shares change; `degraded` answers lack what a model should have given.
    """

    version: str
    state: str
    percent: float
    answers: int
    errors: int
    degraded: int


@dataclass(frozen=True, slots=True)
class CatalogueStatus:
    version: str
    items: int
    age_s: float
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlacementStatus:
    placement: str
    sources: tuple[str, ...]
    filters: tuple[str, ...]
    scorer: str
    selector: str


@dataclass(frozen=True, slots=True)
class Status:
    """`ready` is True when a canary prediction came back and a catalogue is loaded."""

    ready: bool
    parts: tuple[PartStatus, ...]
    release: ReleaseStatus
    catalogue: CatalogueStatus
    placements: tuple[PlacementStatus, ...]
    banquet_version: str
    uptime_s: float
    releases: tuple[ServedRelease, ...] = ()
