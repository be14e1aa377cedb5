"""What an engine is: something that loads a release's graphs and runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from handlers.release_files import ReleaseFiles


class EngineFailed(RuntimeError):
    """An engine cannot be used here or computes something else than the release promises; the text says which and why."""


class Graph(Protocol):
    """A loaded graph. `run` takes at least the graph's inputs by name and gives its outputs by name, all on `device`."""

    @property
    def device(self) -> torch.device: ...

    def run(self, feeds: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]: ...

    def describe(self) -> str: ...


@runtime_checkable
class Remembers(Protocol):
    """A graph that keeps for later how far off it was when it passed the parity gate."""

    def passed(self, parity_error: float) -> None: ...


class Engine(Protocol):
    """Loads graphs. Raises `EngineFailed` when it cannot work on this machine."""

    name: str
    precision: str

    def load(self, release: ReleaseFiles, graph: str) -> Graph: ...
