"""ONNX Runtime on the CPU, with as many threads as it was given and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from handlers.engines.engine import EngineFailed
from handlers.engines.precision import FP32

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from handlers.engines.engine import Graph
    from handlers.release_files import ReleaseFiles

_ERRORS_ONLY = 3


class OnnxRuntimeEngine:
    """Runs `graphs/<graph>.onnx`."""

    name = "onnxruntime"
    precision = FP32

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def load(self, release: ReleaseFiles, graph: str) -> Graph:
        try:
            import onnxruntime  # noqa: PLC0415 - a worker without it falls back
        except ImportError as error:
            raise EngineFailed(f"onnxruntime is not installed: {error}") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = _ERRORS_ONLY
        # A spinning thread would take the core from the server beside it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = release.onnx(graph)
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own errors share no other base
            raise EngineFailed(f"onnxruntime cannot load {path}: {error}") from error
        return _OnnxGraph(session, onnxruntime.__version__)


class _OnnxGraph:
    def __init__(self, session: Any, version: str) -> None:
        self._session = session
        self._version = version
        self._inputs = [tensor.name for tensor in session.get_inputs()]
        self._outputs = [tensor.name for tensor in session.get_outputs()]
        self.device = torch.device("cpu")

    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        arrays = self._session.run(self._outputs, {name: feeds[name].numpy() for name in self._inputs})
        return {name: torch.from_numpy(array) for name, array in zip(self._outputs, arrays, strict=True)}

    def describe(self) -> str:
        return f"onnxruntime {self._version}"
