"""TensorRT: plans out of the cache or built on the spot, run on a stream of their own and replayed as CUDA graphs.

A context per bucket: a captured graph holds on to its context's shapes and memory.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from banquet.wire.files import write_atomically
from handlers.engines.buckets import BucketedGraph, Buckets
from handlers.engines.eager import EagerEngine
from handlers.engines.engine import EngineFailed
from handlers.engines.lanes import lane_on
from handlers.engines.plan_cache import PlanCache
from handlers.engines.plans import PLANNED, build_plan, recipe_for
from handlers.engines.trt_library import find_library

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from handlers.engines.buckets import Runner, Sizes, Tensors
    from handlers.engines.engine import Graph
    from handlers.engines.lanes import Lane
    from handlers.engines.plan_cache import Cached
    from handlers.engines.plans import Recipe
    from handlers.engines.trt_library import Library
    from handlers.release_files import ReleaseFiles

log = logging.getLogger(__name__)

# Kernels that `tensorrt_rtx` compiled for this very GPU; it ignores those of another or of another driver.
RUNTIME_CACHE = "runtime.cache"


class TensorRtEngine:
    """Plans for the graphs that run for a query; what encodes items runs in torch on the same device."""

    name = "tensorrt"

    def __init__(self, threads: int, device: torch.device, precision: str, folder: Path | None) -> None:
        self._items = EagerEngine(threads, device)
        self._device = device
        self.precision = precision
        self._plans = None if folder is None else PlanCache(folder)

    def load(self, release: ReleaseFiles, graph: str) -> Graph:
        if self._device.type != "cuda":
            raise EngineFailed("TensorRT needs a CUDA device, and torch sees none; install its CUDA build and the driver")
        if self._plans is None:
            raise EngineFailed("TensorRT needs a folder for its plans; set BANQUET_ENGINES_DIR")
        library = find_library()
        if graph not in PLANNED:
            return self._items.load(release, graph)
        target = "sm{}{}".format(*torch.cuda.get_device_capability(self._device))
        recipe = recipe_for(release, graph, library, target=target, precision=self.precision)
        try:
            return load_plan(recipe, library, self._plans, lane_on(self._device), release.manifest.schema.history_length)
        except (RuntimeError, OSError, MemoryError) as error:
            raise EngineFailed(f"{graph}: {error}") from error


def load_plan(recipe: Recipe, library: Library, plans: PlanCache, lane: Lane, history_length: int) -> PlannedGraph:
    """Raises `EngineFailed` or whatever CUDA raises."""
    cached = plans.get(recipe, lambda: build_plan(recipe, library))
    logger = library.trt.Logger(library.trt.Logger.ERROR)
    runtime = library.trt.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(cached.read())
    if engine is None and not cached.built:
        plans.put_aside(cached.folder, f"{library.package} {library.version} cannot read it on this machine")
        cached = plans.get(recipe, lambda: build_plan(recipe, library))
        engine = runtime.deserialize_cuda_engine(cached.read())
    if engine is None:
        raise EngineFailed(f"{library.package} {library.version} cannot read the plan in {cached.folder} that it built")
    contexts = Contexts(engine, library.trt, recipe, lane, cached.folder / RUNTIME_CACHE)
    about = f"{library.package} {library.version} for {recipe.target}, {recipe.precision}"
    graph = BucketedGraph(recipe.shapes, Buckets.of(recipe.shapes, history_length), contexts.runner, lane, about)
    contexts.keep_kernels()
    # TensorRT's objects refer to each other without counting.
    return PlannedGraph(graph, plans, cached, (contexts, engine, runtime, logger))


class PlannedGraph:
    """A graph that runs by a plan, and whose manifest is told how well it does."""

    def __init__(self, graph: BucketedGraph, plans: PlanCache, cached: Cached, alive: tuple[object, ...]) -> None:
        self._graph = graph
        self._plans = plans
        self._cached = cached
        self._alive = alive

    @property
    def device(self) -> torch.device:
        return self._graph.device

    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self._graph.run(feeds)

    def describe(self) -> str:
        return self._graph.describe()

    def passed(self, parity_error: float) -> None:
        self._plans.note(self._cached, parity_error=parity_error, **_machine(self.device))


class Contexts:
    """Makes the execution contexts of an engine, one per bucket, each with memory for its own sizes."""

    def __init__(self, engine: Any, trt: Any, recipe: Recipe, lane: Lane, kernels: Path) -> None:
        self._engine = engine
        self._trt = trt
        self._recipe = recipe
        self._lane = lane
        self._kernels = kernels
        self._alive: list[object] = []
        self._runtime_cache: Any = None
        self._how = self._configured()

    def runner(self, inputs: Tensors, sizes: Sizes) -> Runner:
        """The engine at these sizes, reading the inputs where they lie."""
        recipe, context = self._recipe, self._engine.create_execution_context(self._how)
        if context is None:
            raise EngineFailed(f"{recipe.shapes.graph}: TensorRT makes no context; there may be too little memory on the GPU")
        number = next(number for number, profile in enumerate(recipe.profiles) if _within(profile, sizes))
        _must(context.set_optimization_profile_async(number, self._lane.handle), f"select profile {number}")
        for name, tensor in inputs.items():
            _must(context.set_input_shape(name, tuple(tensor.shape)), f"take {name} {list(tensor.shape)}")
        if unknown := context.infer_shapes():
            raise EngineFailed(f"{recipe.shapes.graph}: TensorRT does not know the shapes of {', '.join(unknown)}")
        outputs = {
            tensor.name: torch.empty(tensor.at(sizes), dtype=tensor.dtype, device=self._lane.device)
            for tensor in recipe.shapes.outputs
        }
        for name, tensor in outputs.items():
            _must(tuple(context.get_tensor_shape(name)) == tuple(tensor.shape), f"give {name} {list(tensor.shape)}")
        for name, tensor in {**inputs, **outputs}.items():
            _must(_torch_dtype(self._trt, self._engine.get_tensor_dtype(name)) == tensor.dtype, f"hold {name} as {tensor.dtype}")
            _must(context.set_tensor_address(name, tensor.data_ptr()), f"reach {name}")
        scratch = torch.empty(max(1, context.update_device_memory_size_for_shapes()), dtype=torch.uint8, device=self._lane.device)
        context.set_device_memory(scratch.data_ptr(), scratch.numel())
        self._alive += [context, scratch]

        def launch() -> Tensors:
            _must(context.execute_async_v3(self._lane.handle), f"run {recipe.shapes.graph}")
            return outputs

        launch()
        if hasattr(context, "is_stream_capturable") and not context.is_stream_capturable(self._lane.handle):
            log.warning("%s at %s runs without a CUDA graph: TensorRT cannot be captured there", recipe.shapes.graph, dict(sizes))
            return launch
        return self._lane.captured(launch)

    def keep_kernels(self) -> None:
        """What was compiled for this GPU, for the next start."""
        if self._runtime_cache is not None:
            write_atomically(self._kernels, bytes(self._runtime_cache.serialize()))

    def _configured(self) -> Any:
        """What a context is made with: memory is ours to give, and no kernel is exchanged for a better one behind a capture."""
        trt = self._trt
        strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if not hasattr(trt, "DynamicShapesKernelSpecializationStrategy"):
            return strategy
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(strategy)
        config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
        self._runtime_cache = config.create_runtime_cache()
        if self._kernels.is_file():
            self._runtime_cache.deserialize(self._kernels.read_bytes())
        config.set_runtime_cache(self._runtime_cache)
        self._alive.append(config)
        return config


def _within(profile: Mapping[str, tuple[int, int, int]], sizes: Sizes) -> bool:
    return all(profile[axis][0] <= size <= profile[axis][2] for axis, size in sizes.items())


def _torch_dtype(trt: Any, dtype: Any) -> torch.dtype | None:
    known = {trt.float32: torch.float32, trt.int64: torch.int64, trt.int32: torch.int32, trt.float16: torch.float16}
    return known.get(dtype)


def _must(done: object, what: str) -> None:
    if not done:
        raise EngineFailed(f"TensorRT cannot {what}")


def _machine(device: torch.device) -> dict[str, Any]:
    if device.type != "cuda":
        return {"gpu": str(device), "cuda": ""}
    return {"gpu": torch.cuda.get_device_name(device), "driver": _driver(), "cuda": str(torch.version.cuda)}


def _driver() -> str:
    """The version the kernel module gives of itself; empty where it gives none."""
    path = Path("/sys/module/nvidia/version")
    return path.read_text().strip() if path.is_file() else ""
