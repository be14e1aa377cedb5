"""Which engine serves a release: the first that loads and passes the parity gate."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handlers.engines.eager import EagerEngine
from handlers.engines.engine import EngineFailed
from handlers.engines.onnxruntime import OnnxRuntimeEngine
from handlers.engines.parity import check_parity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from handlers.engines.engine import Engine, Graph
    from handlers.release_files import ReleaseFiles

log = logging.getLogger(__name__)

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A release's graphs, by name, on the engine that serves them."""

    backend: str
    graphs: Mapping[str, Graph]


def engines(threads: int) -> list[Engine]:
    """Best first."""
    return [OnnxRuntimeEngine(threads), EagerEngine(threads)]


def choose(release: ReleaseFiles, graphs: Sequence[str], *, backend: str = AUTO, threads: int = 1) -> Loaded:
    """Load graphs on the best engine, or on the named one and no other. Raises `EngineFailed` when none will do."""
    candidates = [engine for engine in engines(threads) if backend in (AUTO, engine.name)]
    if not candidates:
        known = ", ".join([AUTO, *(engine.name for engine in engines(threads))])
        raise EngineFailed(f"BANQUET_BACKEND={backend!r} is not one of: {known}")
    failures = []
    for engine in candidates:
        try:
            loaded = {graph: engine.load(release, graph) for graph in graphs}
            check_parity(release, loaded)
        except EngineFailed as error:
            failures.append(f"{engine.name}: {error}")
            log.warning("release %s cannot run on %s: %s", release.version, engine.name, error)
            continue
        described = next(iter(loaded.values())).describe()
        level = logging.WARNING if failures else logging.INFO
        log.log(level, "release %s runs on %s%s", release.version, described, " as a fallback" if failures else "")
        return Loaded(engine.name, loaded)
    raise EngineFailed(f"no engine can run release {release.version}: {'; '.join(failures)}")
