"""Torch running the exported program as it is: the reference every other engine is held to, and the last resort."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from handlers.engines.engine import EngineFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from handlers.engines.engine import Graph
    from handlers.release_files import ReleaseFiles


class EagerEngine:
    """Runs `programs/<graph>.pt2`."""

    name = "eager"

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def load(self, release: ReleaseFiles, graph: str) -> Graph:
        import torch  # noqa: PLC0415 - seconds and 200 MB that other engines do without

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

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        import torch  # noqa: PLC0415 - loaded by now

        def tensor(name: str) -> torch.Tensor:
            array = feeds[name]
            # Torch warns about memory it may not write to, which a payload's is.
            return torch.from_numpy(array if array.flags.writeable else array.copy())

        with torch.inference_mode():
            result = self._module(*map(tensor, self._positional), **{name: tensor(name) for name in self._named})
        tensors = (result,) if isinstance(result, torch.Tensor) else result
        return {name: np.ascontiguousarray(value.numpy()) for name, value in zip(self._outputs, tensors, strict=True)}

    def describe(self) -> str:
        import torch  # noqa: PLC0415 - loaded by now

        return f"torch {torch.__version__}"
