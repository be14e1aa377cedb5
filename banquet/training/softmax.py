"""Retrieval's two ways to ask "which item comes next": against all known items, or against a corrected sample of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from banquet.training.loss import fast_dtype, full_cross_entropy, sampled_cross_entropy
from banquet.training.models.retrieval import pad_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from banquet.training.encoding import Items
    from banquet.training.models.retrieval import Retrieval

# Half of a sample follows popularity, half is even, so that every item is drawn now and then.
EVEN_SHARE = 0.5


class FullSoftmax:
    """inputs and targets [B, L]: rows of `items`, which are those known in training; -1 where there is none."""

    def __init__(self, items: Items) -> None:
        self._items = items

    def __call__(self, model: Retrieval, inputs: Tensor, targets: Tensor) -> Tensor:
        vectors = self._items.vectors(model.items)
        mask = pad_mask(inputs)
        states = model.history.states(functional.embedding(inputs.clamp(min=0), vectors) * mask[..., None], mask)
        due = targets >= 0
        if not model.items.widths.has_content:
            # An unknown item has nothing but this one vector: as a class that never hits it learns to stay behind the known.
            vectors = torch.cat([vectors, model.items.ids.weight[:1]])
        return full_cross_entropy(states[due], vectors, targets[due], fast_dtype())


class SampledSoftmax:
    """As `FullSoftmax`, over `samples` items drawn anew for every batch. popularity [N] counts the known items' interactions."""

    def __init__(self, items: Items, popularity: NDArray[np.int64], samples: int, rng: np.random.Generator) -> None:
        self._items = items
        self._rng = rng
        chances = (1 - EVEN_SHARE) * popularity / popularity.sum() + EVEN_SHARE / len(popularity)
        self._cumulated = np.cumsum(chances)
        self._log_q = torch.from_numpy(np.log(samples * chances)).to(torch.float32)
        self._samples = samples

    def __call__(self, model: Retrieval, inputs: Tensor, targets: Tensor) -> Tensor:
        mask = pad_mask(inputs)
        states = model.history.states(self._items.vectors(model.items, inputs), mask)
        due = targets >= 0
        hits = targets[due]
        drawn = np.searchsorted(self._cumulated, self._rng.random(self._samples) * self._cumulated[-1])
        sampled = torch.from_numpy(np.minimum(drawn, len(self._cumulated) - 1))
        both = self._items.vectors(model.items, torch.cat([hits, sampled]))
        same = hits[:, None] == sampled[None, :]
        return sampled_cross_entropy(states[due], both[: len(hits)], both[len(hits) :], self._log_q[sampled], same)
