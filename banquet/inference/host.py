"""The port below the joining: something that runs one stacked job on one model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

    from banquet.core.stages import ModelRun


@dataclass(frozen=True, slots=True)
class StackedAnswer:
    """What a model answered for B queries: arrays [B, ...] by output name, and who ran it."""

    arrays: Mapping[str, NDArray[Any]]
    run: ModelRun


class ModelHost(Protocol):
    """Something that runs models. Its methods raise `StageFailed` as `core.stages.ModelClient` does."""

    async def run(self, model: str, catalogue: str, arrays: Mapping[str, NDArray[Any]], timeout_s: float) -> StackedAnswer:
        """One job of B stacked queries, arrays [B, ...]."""
        ...

    def capacity(self, model: str) -> int:
        """How many jobs of a model it works on at once, as far as it knows; at least 1."""
        ...

    async def check(self, model: str, timeout_s: float) -> None:
        """Raises `StageFailed` where it is known that a model cannot serve; a canary must still show that it can."""
        ...

    async def close(self) -> None: ...
