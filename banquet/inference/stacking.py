"""Queries stacked into one job, and the job's answer split into each query's share.

Short arrays are padded: `history` on the left, since it ends with the newest item, everything else on the right; integers with
-1, floats with 0. What was padded is cut off again, so that a query's answer does not depend on its company.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

PADDED_LEFT = "history"
# Outputs in step with the rows that were found, or asked about; others (`user_vector`) have one length for all queries.
PER_ROW = ("rows", "scores", "ranking", "retrieval")


def stack(queries: Sequence[Arrays]) -> dict[str, NDArray[Any]]:
    """1-D arrays of B queries with equal names and types -> arrays [B, width of the longest]."""
    return {name: _stacked([query[name] for query in queries], left=name == PADDED_LEFT) for name in queries[0]}


def split(answers: Arrays, queries: Sequence[Arrays]) -> list[dict[str, NDArray[Any]]]:
    """Arrays [B, ...] -> one query's arrays each, as views. Raises `ValueError` when an output is not one row per query."""
    for name, array in answers.items():
        if array.ndim == 0 or len(array) != len(queries):
            raise ValueError(f"output {name!r} has shape {list(array.shape)} for {len(queries)} queries")
    found = answers.get("rows")
    lengths = [len(query.get("rows", ())) for query in queries] if found is None else _lengths(found)
    return [
        {name: array[k, : lengths[k]] if name in PER_ROW else array[k] for name, array in answers.items()}
        for k in range(len(queries))
    ]


def _stacked(arrays: Sequence[NDArray[Any]], *, left: bool) -> NDArray[Any]:
    if len(arrays) == 1:
        return arrays[0][np.newaxis]
    widths = [len(array) for array in arrays]
    width = max(widths)
    if min(widths) == width:
        return np.stack(arrays)
    dtype = arrays[0].dtype
    stacked = np.full((len(arrays), width), -1 if dtype.kind == "i" else 0, dtype)
    for row, array in zip(stacked, arrays, strict=True):
        if left:
            row[width - len(array) :] = array
        else:
            row[: len(array)] = array
    return stacked


def _lengths(rows: NDArray[Any]) -> list[int]:
    """How many entries of each line are left when trailing -1 are cut off."""
    count, width = rows.shape
    if width == 0 or (rows[:, -1] != -1).all():
        return [width] * count
    kept = rows != -1
    lengths: list[int] = np.where(kept.any(axis=1), width - kept[:, ::-1].argmax(axis=1), 0).tolist()
    return lengths
