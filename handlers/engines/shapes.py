"""The tensors of a graph and which of their dimensions vary from run to run.

The names are the contract between a release and its handlers: B queries, L places of a history, C candidates, N items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from handlers.engines.engine import EngineFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handlers.release_files import ReleaseFiles

AXES: Mapping[str, tuple[str, ...]] = {
    "index": ("N",),
    "categories": ("N",),
    "lists": ("N",),
    "numbers": ("N",),
    "vectors": ("N",),
    "features": ("N",),
    "history": ("B", "L"),
    "mask": ("B", "L"),
    "user_categories": ("B",),
    "user_numbers": ("B",),
    "user_vector": ("B",),
    "candidates": ("B", "C"),
    "retrieval_scores": ("B", "C"),
    "scores": ("B", "C"),
}


@dataclass(frozen=True, slots=True)
class TensorShape:
    """One input or output: its leading `axes` vary, its `widths` do not."""

    name: str
    axes: tuple[str, ...]
    widths: tuple[int, ...]
    dtype: torch.dtype

    def at(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        return (*(sizes[axis] for axis in self.axes), *self.widths)


@dataclass(frozen=True, slots=True)
class GraphShapes:
    """All tensors of a graph, each side in the graph's order."""

    graph: str
    inputs: tuple[TensorShape, ...]
    outputs: tuple[TensorShape, ...]

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(axis for tensor in self.inputs for axis in tensor.axes))


def shapes_of(release: ReleaseFiles, graph: str) -> GraphShapes:
    """As the golden batch has them. Raises `EngineFailed` naming a tensor whose dimensions nobody knows."""
    taken, given = release.golden(graph)
    sides = []
    for names, arrays in ((release.inputs(graph), taken), (release.outputs(graph), given)):
        for name in names:
            if name not in AXES or name not in arrays:
                raise EngineFailed(
                    f"{graph}: tensor {name!r} is not one of: {', '.join(AXES)}; only eager and onnxruntime run it"
                )
        tensors = {name: torch.from_numpy(arrays[name].copy()) for name in names}
        sides.append(
            tuple(
                TensorShape(name, AXES[name], tuple(tensor.shape[len(AXES[name]) :]), tensor.dtype)
                for name, tensor in tensors.items()
            )
        )
    return GraphShapes(graph, *sides)
