"""A few known sizes for whatever comes: inputs are padded to the next of them and split where the largest is too small.

A GPU wants shapes that it has seen: kernels are tuned for them and CUDA graphs are bound to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from handlers.engines.lanes import Lane
    from handlers.engines.shapes import GraphShapes, TensorShape

    Tensors = Mapping[str, Tensor]
    Sizes = Mapping[str, int]
    # The runner for inputs that stay where they are: each call computes the outputs of what they hold then.
    Compile = Callable[[Tensors, Sizes], "Runner"]

# Fourfold steps waste at most three quarters of small runs, which wait for launches anyway, and keep what is warmed up few.
QUERIES = (1, 4, 16, 64)
CANDIDATES = (128, 512, 1024, 4096)
# Queries x candidates of one run: bounds the memory of activations.
MAX_PAIRS = 2**16


class Runner(Protocol):
    """Computes the outputs, by name, of what the inputs it was made for hold now; the next call overwrites them."""

    def __call__(self) -> Tensors: ...


@dataclass(frozen=True, slots=True)
class Buckets:
    """Sizes per axis, smallest first; combinations of more than `MAX_PAIRS` are left out."""

    steps: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, shapes: GraphShapes, history_length: int) -> Buckets:
        steps = {"B": QUERIES, "L": (history_length,), "C": CANDIDATES}
        return cls({axis: steps[axis] for axis in shapes.axes})

    def all(self) -> list[dict[str, int]]:
        combined = [dict(zip(self.steps, sizes, strict=True)) for sizes in product(*self.steps.values())]
        return [sizes for sizes in combined if _fits(sizes)]

    def next_to(self, sizes: Sizes) -> dict[str, int]:
        """The smallest bucket that holds `sizes`; where none does, the one to split by."""
        candidates = _step(self.steps["C"], sizes["C"]) if "C" in self.steps else 1
        most_queries = [step for step in self.steps["B"] if step * candidates <= MAX_PAIRS]
        fixed = {axis: steps[-1] for axis, steps in self.steps.items() if axis not in ("B", "C")}
        chosen = {"B": _step(most_queries, sizes["B"]), **fixed}
        return {axis: candidates if axis == "C" else chosen[axis] for axis in self.steps}


class BucketedGraph:
    """A graph of any sizes on runners of a few, all of them made at once: nothing is compiled while a query waits."""

    def __init__(self, shapes: GraphShapes, buckets: Buckets, compile_: Compile, lane: Lane, about: str) -> None:
        self._shapes = shapes
        self._buckets = buckets
        self._lane = lane
        self._about = about
        self._inputs: dict[tuple[int, ...], dict[str, Tensor]] = {}
        self._runners: dict[tuple[int, ...], Runner] = {}
        for sizes in buckets.all():
            inputs = {tensor.name: _empty(tensor, sizes, lane.device) for tensor in shapes.inputs}
            self._inputs[tuple(sizes.values())] = inputs
            # As in `run`, whose modes are a part of what is compiled.
            with torch.inference_mode(mode=False), torch.no_grad(), lane.entered():
                self._runners[tuple(sizes.values())] = compile_(inputs, sizes)

    @property
    def device(self) -> torch.device:
        return self._lane.device

    @torch.inference_mode(mode=False)
    @torch.no_grad()
    def run(self, feeds: Tensors) -> dict[str, Tensor]:
        sizes = {
            axis: size
            for tensor in self._shapes.inputs
            for axis, size in zip(tensor.axes, feeds[tensor.name].shape, strict=False)
        }
        bucket = self._buckets.next_to(sizes)
        if all(sizes[axis] <= bucket[axis] for axis in ("B", "C") if axis in sizes):
            return self._run(feeds, sizes, bucket)
        results = {
            tensor.name: torch.empty(tensor.at(sizes), dtype=tensor.dtype, device=self._lane.device)
            for tensor in self._shapes.outputs
        }
        for part in _parts(sizes, bucket):
            feed = {tensor.name: feeds[tensor.name][_where(tensor, part)] for tensor in self._shapes.inputs}
            kept = {axis: part[axis].stop - part[axis].start if axis in part else size for axis, size in sizes.items()}
            found = self._run(feed, kept, self._buckets.next_to(kept))
            for tensor in self._shapes.outputs:
                results[tensor.name][_where(tensor, part)] = found[tensor.name]
        return results

    def describe(self) -> str:
        return self._about

    def _run(self, feeds: Tensors, sizes: Sizes, bucket: Sizes) -> dict[str, Tensor]:
        key = tuple(bucket.values())
        with self._lane.entered():
            for tensor in self._shapes.inputs:
                _fill(self._inputs[key][tensor.name], feeds[tensor.name], tensor)
            outputs = self._runners[key]()
        # Copied by the caller's stream: the next run, which overwrites them, waits for it.
        return {
            tensor.name: outputs[tensor.name][_where(tensor, {axis: slice(sizes[axis]) for axis in tensor.axes})].to(
                tensor.dtype, copy=True
            )
            for tensor in self._shapes.outputs
        }


def _fill(place: Tensor, values: Tensor, tensor: TensorShape) -> None:
    """Queries and candidates come first and leave what was there behind them; histories end where they end, zeros before."""
    if "L" not in tensor.axes:
        place[tuple(slice(size) for size in values.shape[: len(tensor.axes)])].copy_(values, non_blocking=True)
        return
    queries, length = values.shape[:2]
    padding = place.shape[1] - length
    if padding:
        place[:queries, :padding].zero_()
    place[:queries, padding:].copy_(values, non_blocking=True)


def _parts(sizes: Sizes, bucket: Sizes) -> Iterator[dict[str, slice]]:
    axes = [axis for axis in ("B", "C") if axis in sizes]
    for starts in product(*(range(0, sizes[axis], bucket[axis]) for axis in axes)):
        pairs = zip(axes, starts, strict=True)
        yield {axis: slice(start, min(start + bucket[axis], sizes[axis])) for axis, start in pairs}


def _where(tensor: TensorShape, part: Mapping[str, slice]) -> tuple[slice, ...]:
    return tuple(part.get(axis, slice(None)) for axis in tensor.axes)


def _empty(tensor: TensorShape, sizes: Sizes, device: torch.device) -> Tensor:
    return torch.zeros(tensor.at(sizes), dtype=tensor.dtype, device=device)


def _fits(sizes: Sizes) -> bool:
    return sizes.get("B", 1) * sizes.get("C", 1) <= MAX_PAIRS


def _step(steps: tuple[int, ...] | list[int], size: int) -> int:
    return next((step for step in steps if step >= size), steps[-1])
