"""Rows of a catalogue as the arrays models take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def history_of(matrix: NDArray[np.float32], rows: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Left-padded rows [B, L] -> their values [B, L', width] and mask [B, L'], 1.0 where real.

    L' is what the longest needs, at least 1. `matrix` [N + 1, width] ends in zeros, which is what padding gathers.
    """
    real = rows >= 0
    columns = real.any(axis=0)
    start = int(columns.argmax()) if columns.any() else rows.shape[1]
    kept = rows[:, start:]
    if not kept.shape[1]:
        kept = np.full((len(rows), 1), -1, np.int32)
    return np.take(matrix, kept, axis=0), (kept >= 0).astype(np.float32)
