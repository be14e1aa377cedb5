"""TensorRT's running half, on memory of this machine: contexts at given addresses, computed by ONNX Runtime.

It insists on what the library insists on: shapes before memory, memory and every address before a run, sizes within the profile.
"""

from __future__ import annotations

import ctypes
import json
from math import prod
from types import SimpleNamespace

import numpy as np
import onnxruntime

READABLE = b"plan of the fake:"
float32, float16, int32, int64 = "float32", "float16", "int32", "int64"
ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="user managed")
DynamicShapesKernelSpecializationStrategy = SimpleNamespace(EAGER="eager")


def plan_of(recipe) -> bytes:
    """A plan that this library reads."""
    profiles = [{axis: list(sizes) for axis, sizes in profile.items()} for profile in recipe.profiles]
    axes = {tensor.name: tensor.axes for tensor in recipe.shapes.inputs}
    return READABLE + json.dumps({"onnx": str(recipe.onnx), "profiles": profiles, "axes": axes}).encode()


class Logger:
    ERROR = 1

    def __init__(self, severity: int) -> None:
        self.severity = severity


class Runtime:
    def __init__(self, logger: Logger) -> None:
        self.logger = logger

    def deserialize_cuda_engine(self, plan: bytes):
        return Engine(json.loads(plan.removeprefix(READABLE))) if plan.startswith(READABLE) else None


class Engine:
    def __init__(self, told) -> None:
        self.told = told
        self.session = onnxruntime.InferenceSession(told["onnx"], providers=["CPUExecutionProvider"])
        kinds = {"tensor(float)": float32, "tensor(int64)": int64}
        tensors = [*self.session.get_inputs(), *self.session.get_outputs()]
        self.dtypes = {tensor.name: kinds[tensor.type] for tensor in tensors}

    def create_runtime_config(self):
        cache = SimpleNamespace(kernels=b"", serialize=lambda: cache.kernels + b"kernel ", deserialize=lambda blob: None)
        cache.deserialize = lambda blob: setattr(cache, "kernels", blob)
        return SimpleNamespace(
            set_execution_context_allocation_strategy=lambda strategy: None,
            create_runtime_cache=lambda: cache,
            set_runtime_cache=lambda cache: True,
        )

    def create_execution_context(self, config):
        assert config.dynamic_shapes_kernel_specialization_strategy == "eager"
        return Context(self)

    def get_tensor_dtype(self, name: str) -> str:
        return self.dtypes[name]


class Context:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.scratch = 0

    def set_optimization_profile_async(self, number: int, stream: int) -> bool:
        self.profile = self.engine.told["profiles"][number]
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        axes = self.engine.told["axes"][name]
        self.shapes[name] = shape
        return all(self.profile[axis][0] <= size <= self.profile[axis][2] for axis, size in zip(axes, shape, strict=False))

    def infer_shapes(self) -> list[str]:
        return [tensor.name for tensor in self.engine.session.get_inputs() if tensor.name not in self.shapes]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._compute({name: np.zeros(shape, self.engine.dtypes[name]) for name, shape in self.shapes.items()})[name].shape

    def update_device_memory_size_for_shapes(self) -> int:
        assert not self.infer_shapes()
        return 1000

    def set_device_memory(self, address: int, size: int) -> None:
        assert size >= 1000
        self.scratch = address

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def is_stream_capturable(self, stream: int) -> bool:
        return True

    def execute_async_v3(self, stream: int) -> bool:
        assert self.scratch
        outputs = self._compute({name: self._at(name, shape) for name, shape in self.shapes.items()})
        for name, values in outputs.items():
            self._at(name, values.shape)[...] = values
        return True

    def _compute(self, inputs):
        names = [tensor.name for tensor in self.engine.session.get_outputs()]
        return dict(zip(names, self.engine.session.run(names, inputs), strict=True))

    def _at(self, name: str, shape):
        dtype = np.dtype(self.engine.dtypes[name])
        content = (ctypes.c_char * (prod(shape) * dtype.itemsize)).from_address(self.addresses[name])
        return np.frombuffer(content, dtype).reshape(shape)
