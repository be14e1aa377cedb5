"""TensorRT's Python library: `tensorrt`, or `tensorrt_rtx`, which has the same API and builds for GPUs that are elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from handlers.engines.engine import EngineFailed

# Since 10.12 networks are strongly typed by a flag, since 11 always; before, precision was a builder's choice.
OLDEST = {"tensorrt": (10, 12), "tensorrt_rtx": (1, 2)}
RTX = "tensorrt_rtx"
INSTALL = "pip install 'banquet[tensorrt]'"


@dataclass(frozen=True, slots=True)
class Library:
    """`trt` is the module; `package` and `version` are what plans are bound to."""

    trt: Any
    package: str
    version: str

    @property
    def builds_elsewhere(self) -> bool:
        """Whether plans can be built for a GPU that is not in this machine."""
        return bool(self.targets)

    @property
    def targets(self) -> tuple[str, ...]:
        """Compute capabilities that plans can be built for without their GPU, such as `sm89`."""
        names = dir(getattr(self.trt, "ComputeCapability", None))
        return tuple(name.lower() for name in sorted(names, key=len) if name.startswith("SM") and name[2:].isdigit())


def find_library(*, for_target: bool = False) -> Library:
    """The one that is installed; `tensorrt` before `tensorrt_rtx`, unless `for_target`, which only the latter can.

    Raises `EngineFailed` that says what to install.
    """
    found = [library for name in OLDEST if (library := _library(name)) is not None]
    if for_target:
        found = [library for library in found if library.builds_elsewhere]
    if not found:
        raise EngineFailed(f"TensorRT {'for RTX ' if for_target else ''}is not installed; {INSTALL}")
    return found[0]


def _library(name: str) -> Library | None:
    try:
        trt = import_module(name)
    except (ImportError, OSError):  # a package whose shared libraries are missing raises the latter
        return None
    version = str(trt.__version__)
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    return Library(trt, name, version) if numbers >= OLDEST[name] else None
