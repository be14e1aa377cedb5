"""The lines that lie beside the models, one per item and state of it; a new state is written behind the old ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

# What is written behind the lines of a first version before the tables are laid out anew: a share of them, and at least so many.
ROOM = 0.1
LEAST_ROOM = 1024


class Tables:
    """`vectors` [used, d] and, where a ranking model lives, `features` [used, F], on the models' device.

    A slot is a line's number; slot 0 is zeros. What was written never changes, so that readers of earlier versions need no lock
    while one thread appends.
    """

    def __init__(self, vectors: Tensor, features: Tensor | None) -> None:
        """The lines of slots 1 to N, and room behind them."""
        self.used = 1
        room = 1 + len(vectors) + max(LEAST_ROOM, int(ROOM * len(vectors)))
        self._vectors = _room_for(vectors, room)
        self._features = None if features is None else _room_for(features, room)
        self.append(vectors, features)

    @property
    def vectors(self) -> Tensor:
        return self._vectors[: self.used]

    @property
    def features(self) -> Tensor | None:
        return None if self._features is None else self._features[: self.used]

    @property
    def room(self) -> int:
        """How many lines can still be appended."""
        return len(self._vectors) - self.used

    def append(self, vectors: Tensor, features: Tensor | None) -> Tensor:
        """Write lines behind the last one; their slots, int64 [n]."""
        end = self.used + len(vectors)
        self._vectors[self.used : end] = vectors
        if self._features is not None and features is not None:
            self._features[self.used : end] = features
        slots = torch.arange(self.used, end, device=self._vectors.device)
        self.used = end
        return slots


def _room_for(lines: Tensor, room: int) -> Tensor:
    made = torch.empty((room, lines.shape[1]), dtype=lines.dtype, device=lines.device)
    made[0] = 0
    return made
