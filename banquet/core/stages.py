"""The ports of a pipeline. What a stage returns is all it can do; it fails by raising `StageFailed`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from banquet.core.candidates import Candidates, Mask, Scores
    from banquet.core.query import Degradation, Query, UserFeatures


@dataclass(frozen=True, slots=True)
class ModelRun:
    """What a model call cost and who ran it; zero and empty for stages without a model.

    `instead_of` names the better backend that this one stands in for, `index` says how items were looked up, where they were.
    """

    release: str = ""
    backend: str = ""
    model_ms: float = 0.0
    instead_of: str = ""
    index: str = ""


@dataclass(frozen=True, slots=True)
class ModelJob:
    """One query's share of a model call: 1-D arrays by input name, and the catalogue version its rows belong to."""

    model: str
    catalogue: str
    arrays: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """One query's share of a model's answer: 1-D arrays by output name, without padding."""

    arrays: Mapping[str, NDArray[Any]]
    run: ModelRun


class ModelClient(Protocol):
    """Runs models somewhere.

    Raises `StageFailed` with reason `unavailable`, `timeout`, `overloaded`, `model_error` or `stale_catalogue`.
    """

    async def predict(self, job: ModelJob, timeout_s: float) -> ModelAnswer: ...


class UserReader(Protocol):
    """Reads a user's row from the online store.

    An unknown user is an answer (`found=False`); a broken store is `StageFailed("unavailable")`. `context` has the other parts
    of the user's keys and data for on-demand views, by name.
    """

    async def read(self, user_id: str, context: Mapping[str, str] | None = None) -> UserFeatures: ...


@dataclass(frozen=True, slots=True)
class Found:
    """What a source found; `notes` are the reasons for which it found less than it should."""

    candidates: Candidates
    run: ModelRun = ModelRun()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scored:
    """One score per candidate, float32 [C], higher is better; NaN where the model gave none."""

    scores: Scores
    run: ModelRun = ModelRun()
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """Finds candidates, best first."""

    name: str

    async def find(self, query: Query) -> Found: ...


class Filter(Protocol):
    """Says which candidates stay, bool [C]."""

    name: str

    def keep(self, query: Query, candidates: Candidates) -> Mask: ...


class Scorer(Protocol):
    """Scores every candidate."""

    name: str

    async def score(self, query: Query, candidates: Candidates) -> Scored: ...


@dataclass(frozen=True, slots=True)
class Selection:
    """`picks`: positions among the C candidates, best first. `chances` float32 [C]: how likely each candidate was to be among
    the picks; None when nothing was left to chance.
    """

    picks: NDArray[np.intp]
    chances: Scores | None = None


class Selector(Protocol):
    """Picks at most `query.limit` and orders them."""

    name: str

    def select(self, query: Query, candidates: Candidates) -> Selection: ...


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a stage took, in milliseconds, and what ran it."""

    stage: str
    elapsed_ms: float
    run: ModelRun = ModelRun()


@dataclass(frozen=True, slots=True)
class Answer:
    """A pipeline's answer: `picks` best first, and everything it has to say about itself.

    `candidates` is what the selector chose from, and `selection` how, for the served log.
    """

    query: Query
    picks: Candidates
    candidates: Candidates
    selection: Selection
    degradations: Sequence[Degradation]
    timings: Sequence[Timing]
    elapsed_ms: float

    @property
    def release(self) -> str:
        return next((timing.run.release for timing in self.timings if timing.run.release), "")


class Sink(Protocol):
    """Takes note of an answer after it was sent; never raises and never waits."""

    name: str

    def take(self, answer: Answer) -> None: ...
