"""Torch running the exported program as it is: the reference every other engine is held to, and the last resort."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from handlers.engines.precision import FP32
from handlers.engines.programs import load_program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from handlers.engines.engine import Graph
    from handlers.engines.programs import Function
    from handlers.release_files import ReleaseFiles

CPU = torch.device("cpu")


class EagerEngine:
    """Runs `programs/<graph>.pt2`."""

    name = "eager"
    precision = FP32

    def __init__(self, threads: int, device: torch.device = CPU) -> None:
        self._threads = threads
        self._device = device

    def load(self, release: ReleaseFiles, graph: str) -> Graph:
        torch.set_num_threads(self._threads)
        program = load_program(release, graph, self._device)
        return _EagerGraph(program, release.inputs(graph), release.outputs(graph), self._device)


class _EagerGraph:
    def __init__(self, program: Function, inputs: Sequence[str], outputs: Sequence[str], device: torch.device) -> None:
        self._program = program
        self._inputs = inputs
        self._outputs = outputs
        self.device = device

    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with torch.inference_mode():
            outputs = self._program(*(feeds[name] for name in self._inputs))
        return dict(zip(self._outputs, outputs, strict=True))

    def describe(self) -> str:
        return f"torch {torch.__version__} on {self.device}"
