"""Rows of a catalogue as the tensors models take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch.nn.functional import embedding

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from handlers.items import ResidentItems


def history_slots(items: ResidentItems, rows: NDArray[np.int32]) -> Tensor:
    """Left-padded rows [B, L] -> their slots [B, L'], where L' is what the longest needs, at least 1."""
    columns = (rows >= 0).any(axis=0)
    start = int(columns.argmax()) if columns.any() else rows.shape[1]
    kept = rows[:, start:]
    return items.slots_of(kept if kept.shape[1] else np.full((len(rows), 1), -1, np.int32))


def history_of(lines: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
    """Slots [B, L] -> their lines [B, L, width] and mask [B, L], 1.0 where real; slot 0 is padding, whose line is zeros."""
    return embedding(slots, lines), (slots > 0).to(lines.dtype)
