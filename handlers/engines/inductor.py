"""Torch's compiler: the exported program as kernels of its own, on a GPU replayed as CUDA graphs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from handlers.engines.buckets import BucketedGraph, Buckets
from handlers.engines.eager import EagerEngine
from handlers.engines.engine import EngineFailed
from handlers.engines.lanes import lane_on
from handlers.engines.precision import LOWER
from handlers.engines.programs import load_program
from handlers.engines.shapes import shapes_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from handlers.engines.buckets import Runner, Sizes, Tensors
    from handlers.engines.engine import Graph
    from handlers.engines.programs import Function
    from handlers.engines.shapes import GraphShapes
    from handlers.release_files import ReleaseFiles

CACHE_DIR = "TORCHINDUCTOR_CACHE_DIR"
# Dimensions that one compiled program serves in all their sizes; a size of 1 is always compiled for itself.
VARYING = ("B", "C")


class InductorEngine:
    """Compiles `programs/<graph>.pt2` when it is loaded; what encodes items runs as it is, once per catalogue.

    `folder` keeps what was compiled from one start to the next.
    """

    name = "inductor"

    def __init__(self, threads: int, device: torch.device, precision: str, folder: Path | None = None) -> None:
        self._items = EagerEngine(threads, device)
        self._device = device
        self.precision = precision
        self._folder = folder

    def load(self, release: ReleaseFiles, graph: str) -> Graph:
        if self._folder is not None:
            os.environ.setdefault(CACHE_DIR, str(self._folder / "inductor"))
        shapes = shapes_of(release, graph)
        if "B" not in shapes.axes:
            return self._items.load(release, graph)
        program = load_program(release, graph, self._device)
        try:
            # Kept apart from the programs of other graphs, whose number would count against this one's sizes.
            compiled = torch.compile(_lowered(program, self._device, self.precision), fullgraph=True)
            lane = lane_on(self._device)

            def compile_(inputs: Tensors, sizes: Sizes) -> Runner:
                _mark(inputs, sizes, shapes)
                return lane.captured(_launch(compiled, inputs, shapes))

            about = f"torch {torch.__version__} compiled by inductor, {self.precision}"
            return BucketedGraph(shapes, Buckets.of(shapes, release.manifest.schema.history_length), compile_, lane, about)
        except Exception as error:  # the compiler's errors share no other base
            raise EngineFailed(f"inductor cannot compile {graph}: {error}") from error


def _lowered(program: Function, device: torch.device, precision: str) -> Function:
    if precision not in LOWER:
        return program

    def lowered(*inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(device.type, dtype=LOWER[precision], cache_enabled=False):
            return program(*inputs)

    return lowered


def _mark(inputs: Tensors, sizes: Sizes, shapes: GraphShapes) -> None:
    for tensor in shapes.inputs:
        for place, axis in enumerate(tensor.axes):
            if axis in VARYING and sizes[axis] > 1:
                torch._dynamo.mark_dynamic(inputs[tensor.name], place)  # noqa: SLF001 - documented so


def _launch(compiled: Function, inputs: Tensors, shapes: GraphShapes) -> Callable[[], dict[str, Tensor]]:
    given = [inputs[tensor.name] for tensor in shapes.inputs]
    names = [tensor.name for tensor in shapes.outputs]

    def launch() -> dict[str, Tensor]:
        return dict(zip(names, compiled(*given), strict=True))

    return launch
