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
    """Runs one job of B stacked queries, arrays [B, ...]. Raises `StageFailed` as `core.stages.ModelClient` does."""

    async def run(self, model: str, catalogue: str, arrays: Mapping[str, NDArray[Any]], timeout_s: float) -> StackedAnswer: ...
