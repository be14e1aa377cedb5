"""Writes a release folder: each graph as ONNX and as ExportedProgram, compared with the model; item vectors; the golden batch."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import torch
from onnxscript.optimizer import optimize_ir

from banquet.core.errors import BadRelease
from banquet.wire.catalogue_file import Strings
from banquet.wire.manifest_file import GOLDEN, ITEMS
from banquet.wire.tensors import pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from banquet.training.graphs import Graph
    from banquet.wire.schema import FeatureSchema

# The largest difference between torch and ONNX Runtime, beside a thousandth of the value.
TOLERANCE = 1e-3
# Constants of so many numbers are computed when exporting.
FOLDED_AT_MOST = 16
MOST = {"B": 4096, "C": 65_536, "N": 100_000_000}


@dataclass(frozen=True)
class Exported:
    """Graphs that are written: `models` as the manifest describes them, `golden` inputs and outputs."""

    models: dict[str, dict[str, Any]]
    golden: dict[str, NDArray[Any]]

    @classmethod
    def of(cls, folder: Path, graphs: Iterable[Graph], schema: FeatureSchema) -> Exported:
        """Both exported forms of each graph, written. Raises `BadRelease` when one computes something else than its model."""
        limits = limits_of(schema)
        golden: dict[str, NDArray[Any]] = {}
        models: dict[str, dict[str, Any]] = {}
        for graph in graphs:
            output = export_graph(folder, graph, limits)
            golden |= {f"{graph.name}/in/{name}": value.numpy() for name, value in graph.example.items()}
            golden[f"{graph.name}/out/{graph.output}"] = output
            models[graph.name] = {
                "inputs": list(graph.example),
                "outputs": [graph.output],
                "input_widths": {name: list(value.shape[len(graph.axes[name]) :]) for name, value in graph.example.items()},
                "output_width": output.shape[-1] if graph.output != "scores" else 1,
                "limits": {axis: limits[axis] for axes in graph.axes.values() for axis in axes},
                **graph.about,
            }
        return cls(models, golden)

    def __add__(self, more: Exported) -> Exported:
        return Exported(self.models | more.models, self.golden | more.golden)


def write_release_files(
    folder: Path, exported: Exported, schema: FeatureSchema, vectors: NDArray[np.float32]
) -> dict[str, dict[str, Any]]:
    """What a release has beside its graphs and its manifest; returns the manifest's `models`.

    vectors [n_items, d] are those of the schema's items, in their order.
    """
    ids = Strings.of(schema.item_ids)
    (folder / ITEMS).write_bytes(pack({"ids.blob": ids.blob, "ids.offsets": ids.offsets, "vectors": vectors}))
    (folder / GOLDEN).write_bytes(pack(exported.golden))
    return exported.models


def limits_of(schema: FeatureSchema) -> dict[str, int]:
    """The largest size of each dynamic dimension."""
    return {**MOST, "L": schema.history_length}


def export_graph(folder: Path, graph: Graph, limits: Mapping[str, int]) -> NDArray[np.float32]:
    """The example's output, after both exported forms gave it too."""
    module = graph.module.eval()
    inputs = tuple(graph.example.values())
    onnx_path, program_path = folder / "graphs" / f"{graph.name}.onnx", folder / "programs" / f"{graph.name}.pt2"
    for path in (onnx_path, program_path):
        path.parent.mkdir(exist_ok=True)
    sizes = {axis: torch.export.Dim(axis, min=1, max=limits[axis]) for axes in graph.axes.values() for axis in axes}
    shapes = tuple({place: sizes[axis] for place, axis in enumerate(graph.axes[name])} for name in graph.example)
    with torch.no_grad(), _quietly():
        program = torch.export.export(_Positional(module), inputs, dynamic_shapes=(shapes,))
        torch.export.save(program, program_path)
        exported = torch.onnx.export(
            program, dynamo=True, input_names=list(graph.example), output_names=[graph.output], verbose=False, optimize=False
        )
        assert exported is not None, "the dynamo exporter returns its program"
        _tidy(exported.model)
        exported.save(str(onnx_path))
        expected: NDArray[np.float32] = module(*inputs).numpy()
        _compare(program_path, expected, torch.export.load(program_path).module()(*inputs).numpy())
    session = onnxruntime.InferenceSession(str(onnx_path), providers=["CPUExecutionProvider"])
    feeds = {name: value.numpy() for name, value in graph.example.items()}
    _compare(onnx_path, expected, session.run([graph.output], feeds)[0])
    return expected


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what torch's exporters say of themselves, and without the graphs that they print of what they cannot export."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _tidy(model: Any) -> None:
    """Fold what is small. What is large would be stored wide where it now is narrow; engines fold it as they load it."""
    optimize_ir(model, input_size_limit=FOLDED_AT_MOST)
    # Notes of the exporter on its own steps, with paths of this machine, would take half of a small model.
    for node in model.graph:
        node.metadata_props.clear()


class _Positional(torch.nn.Module):
    """Any module as one of positional inputs, so that all are exported alike."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Tensor:
        output: Tensor = self.module(*inputs)
        return output


class OtherAnswers(BadRelease):
    """An exported graph does not compute what the module does; `gap` is the largest difference, or another shape."""

    def __init__(self, path: Path, gap: object) -> None:
        super().__init__(f"{path}: differs from the trained model by {gap}; report it with the versions of torch and onnxruntime")
        self.gap = gap


def _compare(path: Path, expected: NDArray[np.float32], got: NDArray[np.float32]) -> None:
    if expected.shape != got.shape or not np.allclose(expected, got, rtol=1e-3, atol=TOLERANCE):
        gap = float(np.abs(expected - got).max()) if expected.shape == got.shape else f"shape {got.shape}, not {expected.shape}"
        raise OtherAnswers(path, gap)
