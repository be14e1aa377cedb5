"""Where an engine's work is queued: on the CPU it runs at once, on a GPU on a stream of its own and as CUDA graphs."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from handlers.engines.buckets import Runner, Tensors

    Launch = Callable[[], Tensors]

# Kernels are chosen, and libraries allocate what they need, in the first runs; none of that may happen in a capture.
WARM_UP_RUNS = 3


class Lane(Protocol):
    """`handle` is the CUDA stream as a number, 0 on the CPU."""

    device: torch.device
    handle: int

    def entered(self) -> AbstractContextManager[None]:
        """What the caller queued comes before what is queued within, and that before what the caller queues next."""
        ...

    def captured(self, launch: Launch) -> Runner:
        """Within `entered`: what `launch` queues, as quickly as it can be queued again."""
        ...


def lane_on(device: torch.device) -> Lane:
    return CudaLane(device) if device.type == "cuda" else InlineLane(device)


class InlineLane:
    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.handle = 0

    def entered(self) -> AbstractContextManager[None]:
        return nullcontext()

    def captured(self, launch: Launch) -> Runner:
        launch()
        return launch


class CudaLane:
    """Not the default stream, on which TensorRT would synchronize the device with every launch."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.handle: int = self._stream.cuda_stream
        # Graphs that never run at the same time share the memory of what is between their inputs and outputs.
        self._pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def entered(self) -> Iterator[None]:
        caller = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(caller)
        with torch.cuda.stream(self._stream):
            yield
        caller.wait_stream(self._stream)

    def captured(self, launch: Launch) -> Runner:
        for _ in range(WARM_UP_RUNS):
            launch()
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # A catalogue may be loading in another thread, whose allocations are no part of this.
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            outputs = launch()

        def replay() -> Tensors:
            graph.replay()
            return outputs

        return replay
