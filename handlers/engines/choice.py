"""Which engine serves a release: the first that loads and passes the parity gate."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handlers.engines.eager import CPU, EagerEngine
from handlers.engines.engine import EngineFailed, Remembers
from handlers.engines.inductor import InductorEngine
from handlers.engines.onnxruntime import OnnxRuntimeEngine
from handlers.engines.parity import check_parity
from handlers.engines.precision import FP32
from handlers.engines.tensorrt import TensorRtEngine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import torch

    from handlers.engines.engine import Engine, Graph
    from handlers.release_files import ReleaseFiles

log = logging.getLogger(__name__)

AUTO = "auto"
GPU_ONLY = ("tensorrt", "inductor")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A release's graphs, by name, on the engine that serves them; `instead_of` names the best one, if that could not."""

    backend: str
    graphs: Mapping[str, Graph]
    instead_of: str = ""


def engines(threads: int, device: torch.device = CPU, precision: str = FP32, folder: Path | None = None) -> list[Engine]:
    """All there are, best first where there is a GPU. `folder` is where they keep what they build."""
    return [
        TensorRtEngine(threads, device, precision, folder),
        InductorEngine(threads, device, precision, folder),
        OnnxRuntimeEngine(threads),
        EagerEngine(threads, device),
    ]


def choose(
    release: ReleaseFiles,
    graphs: Sequence[str],
    *,
    backend: str = AUTO,
    threads: int = 1,
    device: torch.device = CPU,
    precision: str = FP32,
    folder: Path | None = None,
) -> Loaded:
    """Load graphs on the best engine, or on the named one and no other. Raises `EngineFailed` when none will do."""
    known = engines(threads, device, precision, folder)
    if backend != AUTO and backend not in [engine.name for engine in known]:
        raise EngineFailed(f"BANQUET_BACKEND={backend!r} is not one of: {', '.join([AUTO, *(engine.name for engine in known)])}")
    # A compiler for one CPU takes minutes to be no quicker than ONNX Runtime.
    left_out = () if device.type == "cuda" else GPU_ONLY
    candidates = [engine for engine in known if backend == engine.name or (backend == AUTO and engine.name not in left_out)]
    failures = []
    for engine in candidates:
        try:
            loaded = {graph: engine.load(release, graph) for graph in graphs}
            errors = check_parity(release, loaded, engine.precision)
        except EngineFailed as error:
            failures.append(f"{engine.name}: {error}")
            log.warning("release %s cannot run on %s: %s", release.version, engine.name, error)
            continue
        described = ", ".join(dict.fromkeys(graph.describe() for graph in loaded.values()))
        level = logging.WARNING if failures else logging.INFO
        log.log(level, "release %s runs on %s%s", release.version, described, " as a fallback" if failures else "")
        for name, graph in loaded.items():
            if isinstance(graph, Remembers):
                graph.passed(errors[name])
        return Loaded(engine.name, loaded, candidates[0].name if failures else "")
    raise EngineFailed(f"no engine can run release {release.version}: {'; '.join(failures)}")
