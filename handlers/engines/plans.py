"""TensorRT plans of a release's graphs: what one is built from, and the building, which needs no GPU with `tensorrt_rtx`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handlers.engines.engine import EngineFailed
from handlers.engines.precision import FP32
from handlers.engines.shapes import shapes_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from handlers.engines.shapes import GraphShapes, TensorShape
    from handlers.engines.trt_library import Library
    from handlers.release_files import ReleaseFiles

    # Axis -> smallest, the one that kernels are tuned for, largest.
    Profile = Mapping[str, tuple[int, int, int]]

# Graphs that run for a query. Those that encode items run once per catalogue and hold the tables of embeddings, which would make
# plans as large as the catalogue: torch runs them on the same device.
PLANNED = ("history_encoder", "ranker")
# One query is what an idle system has; a joined job has some; a long list of candidates comes alone or with a few.
QUERY_PROFILES: tuple[Profile, ...] = ({"B": (1, 1, 1)}, {"B": (1, 16, 64)})
PAIR_PROFILES: tuple[Profile, ...] = (
    {"B": (1, 1, 1), "C": (1, 512, 4096)},
    {"B": (1, 16, 64), "C": (1, 512, 1024)},
    {"B": (1, 4, 16), "C": (1, 1024, 4096)},
)
ITEM_PROFILES: tuple[Profile, ...] = ({"N": (1, 8192, 8192)},)
# Part of every plan's key: a change of how plans are built makes them anew.
RECIPE = 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides what a plan is; `files` maps the graph's files to their sha256, `target` is such as `sm89`."""

    shapes: GraphShapes
    onnx: Path
    files: Mapping[str, str]
    profiles: tuple[Profile, ...]
    precision: str
    target: str
    package: str
    version: str

    @property
    def key(self) -> str:
        """The sha256 of what is built, without what it is built for and with."""
        told = {"recipe": RECIPE, "files": dict(self.files), "profiles": list(self.profiles), "precision": self.precision}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def described(self) -> dict[str, Any]:
        """As plain values, for a manifest."""
        return {
            "graph": self.shapes.graph,
            "precision": self.precision,
            "target": self.target,
            "package": self.package,
            "version": self.version,
            "profiles": [{axis: list(sizes) for axis, sizes in profile.items()} for profile in self.profiles],
            "onnx": dict(self.files),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """A serialized engine and its tensors as the builder saw them: name, type, shape (-1 varies), shapes per profile."""

    content: bytes
    inputs: tuple[dict[str, Any], ...]
    outputs: tuple[dict[str, Any], ...]


def recipe_for(release: ReleaseFiles, graph: str, library: Library, *, target: str, precision: str = FP32) -> Recipe:
    """Raises `EngineFailed` naming a tensor whose dimensions nobody knows."""
    shapes = shapes_of(release, graph)
    length = release.manifest.schema.history_length
    by_axes = PAIR_PROFILES if "C" in shapes.axes else QUERY_PROFILES if "B" in shapes.axes else ITEM_PROFILES
    longest = {"L": (length, length, length)} if "L" in shapes.axes else {}
    profiles = tuple({**profile, **longest} for profile in by_axes)
    files = {name: digest for name, digest in release.manifest.files.items() if name.startswith(f"graphs/{graph}.onnx")}
    return Recipe(shapes, release.onnx(graph), files, profiles, precision, target, library.package, library.version)


def build_plan(recipe: Recipe, library: Library) -> Plan:
    """Raises `EngineFailed` with what TensorRT says when it cannot parse the graph or build for the target."""
    trt, logger = library.trt, _Listener(library)
    builder = trt.Builder(logger.logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger.logger)
    if not parser.parse_from_file(str(recipe.onnx)):
        said = "; ".join(parser.get_error(number).desc() for number in range(parser.num_errors))
        raise EngineFailed(f"{library.package} cannot parse {recipe.onnx}: {said}")
    if recipe.precision != FP32:
        lower_products(network, trt, _dtype(trt, recipe.precision))
    config = builder.create_builder_config()
    _aim(config, recipe, library)
    profiles = [_profile(builder, network, recipe, sizes) for sizes in recipe.profiles]
    for profile in profiles:
        if config.add_optimization_profile(profile) < 0:
            raise EngineFailed(f"{library.package} refuses a profile of {recipe.shapes.graph}: {logger.said()}")
    content = builder.build_serialized_network(network, config)
    if content is None:
        remedy = "; `fp16` may do" if recipe.precision == FP32 else ""
        raise EngineFailed(
            f"{library.package} {library.version} cannot build {recipe.shapes.graph} in {recipe.precision} "
            f"for {recipe.target}: {logger.said()}{remedy}"
        )
    inputs = tuple(_told(network.get_input(number), profiles) for number in range(network.num_inputs))
    outputs = tuple(_told(network.get_output(number), ()) for number in range(network.num_outputs))
    _check_names(recipe.shapes, inputs, outputs)
    return Plan(bytes(content), inputs, outputs)


def lower_products(network: Any, trt: Any, dtype: Any) -> int:
    """Compute every float32 matrix product in `dtype`; what goes in and comes out stays float32. Returns how many there were.

    Sums, norms and softmaxes stay float32, and so does what they are masked with, which a half cannot hold.
    """
    layers = [network.get_layer(number) for number in range(network.num_layers)]
    takers: dict[str, list[tuple[Any, int]]] = {}
    for layer in layers:
        for place in range(layer.num_inputs):
            if (tensor := layer.get_input(place)) is not None:
                takers.setdefault(tensor.name, []).append((layer, place))
    products = [layer for layer in layers if layer.type == trt.LayerType.MATRIX_MULTIPLY and _is_float32(layer, trt)]
    for product in products:
        result = product.get_output(0)
        for place in range(product.num_inputs):
            product.set_input(place, network.add_cast(product.get_input(place), dtype).get_output(0))
        raised = network.add_cast(result, trt.float32).get_output(0)
        for layer, place in takers.get(result.name, ()):
            layer.set_input(place, raised)
        if result.is_network_output:
            name = result.name
            network.unmark_output(result)
            result.name, raised.name = f"{name}/lowered", name
            network.mark_output(raised)
    return len(products)


class _Listener:
    """Keeps what TensorRT complains of while it builds, for the error's text."""

    def __init__(self, library: Library) -> None:
        trt, complaints = library.trt, []

        class Logger(trt.ILogger):  # type: ignore[misc,name-defined]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                    complaints.append(" ".join(message.split()))

        self.logger = Logger()
        self._complaints: list[str] = complaints

    def said(self) -> str:
        return "; ".join(self._complaints) or "without a word"


def _aim(config: Any, recipe: Recipe, library: Library) -> None:
    """For the target's GPU; in a way that CUDA graphs can capture."""
    trt = library.trt
    if library.builds_elsewhere:
        if recipe.target not in library.targets:
            raise EngineFailed(
                f"{library.package} {library.version} knows no {recipe.target}, only {', '.join(library.targets)}; "
                "on that GPU install `tensorrt`"
            )
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, recipe.target.upper()), 0)
    if hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION"):
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)


def _profile(builder: Any, network: Any, recipe: Recipe, sizes: Profile) -> Any:
    known = {tensor.name: tensor for tensor in recipe.shapes.inputs}
    profile = builder.create_optimization_profile()
    for number in range(network.num_inputs):
        name = network.get_input(number).name
        if name not in known:
            raise EngineFailed(f"{recipe.onnx}: input {name!r} is not one of the release's: {', '.join(known)}")
        profile.set_shape(name, *(_shape(known[name], sizes, which) for which in range(3)))
    return profile


def _shape(tensor: TensorShape, sizes: Profile, which: int) -> tuple[int, ...]:
    return tensor.at({axis: sizes[axis][which] for axis in tensor.axes})


def _told(tensor: Any, profiles: Any) -> dict[str, Any]:
    told = {"name": tensor.name, "dtype": tensor.dtype.name.lower(), "shape": list(tensor.shape)}
    if profiles:
        told["profiles"] = [[list(shape) for shape in profile.get_shape(tensor.name)] for profile in profiles]
    return told


def _check_names(shapes: GraphShapes, inputs: tuple[dict[str, Any], ...], outputs: tuple[dict[str, Any], ...]) -> None:
    for side, wanted, found in (("inputs", shapes.inputs, inputs), ("outputs", shapes.outputs, outputs)):
        names = {tensor.name for tensor in wanted}
        if names != {tensor["name"] for tensor in found}:
            raise EngineFailed(
                f"{shapes.graph}: the plan's {side} are {[tensor['name'] for tensor in found]}, not {sorted(names)}"
            )


def _is_float32(layer: Any, trt: Any) -> bool:
    return bool(layer.get_output(0).dtype == trt.float32)


def _dtype(trt: Any, precision: str) -> Any:
    return {"fp16": trt.float16, "bf16": trt.bfloat16}[precision]
