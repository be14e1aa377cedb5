"""The parity gate: an engine serves only if it computes the golden batch as the release did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from handlers.engines.engine import EngineFailed
from handlers.engines.precision import FP32, TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from handlers.engines.engine import Graph
    from handlers.release_files import ReleaseFiles

    Array = NDArray[Any]

TOP = 10
MIN_OVERLAP = 0.99


def check_parity(release: ReleaseFiles, graphs: Mapping[str, Graph], precision: str = FP32) -> dict[str, float]:
    """The largest error of each graph, as a share of the largest value expected, when all are near enough.

    Raises `EngineFailed` naming the graph and output when values are off by more than the precision's `TOLERANCE`, or when the
    best `TOP` of a row of scores are others than expected.
    """
    tolerance = TOLERANCE[precision]
    computed: dict[str, Array] = {}
    errors: dict[str, float] = {}
    for name, graph in graphs.items():
        inputs, expected = release.golden(name)
        try:
            computed |= {f"{name}/{output}": values for output, values in _run(graph, inputs).items()}
        except Exception as error:  # whatever it is, an engine that cannot run the golden batch cannot serve
            raise EngineFailed(f"{name}: cannot run the golden batch: {error!r}") from error
        found = [
            _error(f"{name}/{output}", computed.get(f"{name}/{output}"), values, tolerance) for output, values in expected.items()
        ]
        errors[name] = max(found, default=0.0)
    for name, got, wanted in _rankings(release, computed):
        overlap = top_overlap(got, wanted, tolerance)
        if overlap < MIN_OVERLAP:
            raise EngineFailed(f"{name}: the best {TOP} overlap by {overlap:.3f}, at least {MIN_OVERLAP} is wanted")
    return errors


def top_overlap(got: Array, expected: Array, tolerance: float = TOLERANCE[FP32]) -> float:
    """The share of the best `TOP` per row of `got` [B, N] that belong there by `expected`; equals of the last one belong."""
    top = min(TOP, expected.shape[1])
    threshold = np.sort(expected, axis=1)[:, -top][:, None]
    picks = np.argsort(-got, axis=1, kind="stable")[:, :top]
    slack = tolerance * max(1.0, float(np.abs(expected).max()))
    return float(np.mean(np.take_along_axis(expected, picks, 1) >= threshold - slack))


def _run(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    outputs = graph.run({name: torch.tensor(values).to(graph.device) for name, values in inputs.items()})
    return {name: values.cpu().numpy() for name, values in outputs.items()}


def _error(name: str, got: Array | None, expected: Array, tolerance: float) -> float:
    if got is None:
        raise EngineFailed(f"{name}: the graph has no such output")
    if got.shape != expected.shape:
        raise EngineFailed(f"{name}: has shape {got.shape}, {expected.shape} is expected")
    largest = max(1.0, float(np.abs(expected).max(initial=0.0)))
    error = float(np.abs(got - expected).max(initial=0.0))
    if not error <= tolerance * largest:  # NaN included
        raise EngineFailed(f"{name}: largest error {error:.3g}, at most {tolerance * largest:.3g} is allowed")
    return error / largest


def _rankings(release: ReleaseFiles, computed: Mapping[str, Array]) -> list[tuple[str, Array, Array]]:
    """Score matrices [B, N], computed and expected: those of the ranker, and every golden user against every golden item."""
    found = []
    if "ranker/scores" in computed:
        found.append(("ranker/scores", computed["ranker/scores"], release.golden("ranker")[1]["scores"]))
    if "history_encoder/user_vector" in computed and "item_encoder/vectors" in computed:
        got = _products(computed["history_encoder/user_vector"], computed["item_encoder/vectors"])
        users, items = release.golden("history_encoder")[1]["user_vector"], release.golden("item_encoder")[1]["vectors"]
        found.append(("retrieval", got, _products(users, items)))
    return found


def _products(users: Array, items: Array) -> Array:
    """Users [B, d], or [B, M, d] with several vectors each, by items [N, d]: the largest product, [B, N]."""
    products = users @ items.T
    return products if users.ndim == 2 else products.max(axis=1)  # noqa: PLR2004 - [B, d]
