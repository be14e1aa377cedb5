"""Torch running the exported program as it is: the reference every other engine is held to, and the last resort."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from handlers.engines.engine import EngineFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from handlers.engines.engine import Graph
    from handlers.release_files import ReleaseFiles


class EagerEngine:
    """Runs `programs/<graph>.pt2`."""

    name = "eager"

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def load(self, release: ReleaseFiles, graph: str) -> Graph:
        torch.set_num_threads(self._threads)
        path = release.program(graph)
        try:
            program = torch.export.load(path)
        except Exception as error:  # torch's errors share no other base
            raise EngineFailed(f"torch cannot load {path}: {error}") from error
        return _EagerGraph(program, release.inputs(graph), release.outputs(graph))


class _EagerGraph:
    def __init__(self, program: Any, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        # A program insists on the mix of positional and named arguments it was exported with.
        positional = program.call_spec.in_spec.child(0).num_children
        self._positional, self._named = inputs[:positional], inputs[positional:]
        self._outputs = outputs
        self._module = program.module()
        self.device = torch.device("cpu")

    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with torch.inference_mode():
            result = self._module(*(feeds[name] for name in self._positional), **{name: feeds[name] for name in self._named})
        tensors = (result,) if isinstance(result, torch.Tensor) else result
        return dict(zip(self._outputs, tensors, strict=True))

    def describe(self) -> str:
        return f"torch {torch.__version__}"
