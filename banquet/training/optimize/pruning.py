"""Makes the ranker smaller by its least important units: they are found by torch's structured pruning and really taken out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils import prune

from banquet.training.models.ranking import Ranker
from banquet.training.optimize.units import axes_of, groups_of, keep_units, weights_of_units

if TYPE_CHECKING:
    from banquet.training.models.ranking import RankerShape


def pruned(ranker: Ranker, shape: RankerShape) -> Ranker:
    """A ranker of a smaller shape out of the most important units of another; it still wants fine-tuning.

    Crosses are dropped from the last one on. Without any attention, all of the history counts evenly.
    """
    shorter = _without_layers(ranker, shape)
    weights, axes = shorter.state_dict(), axes_of(shorter.shape)
    wanted = groups_of(shape)
    kept = {group: most_important(weights_of_units(group, weights, axes), wanted[group]) for group in groups_of(shorter.shape)}
    smaller = Ranker(shape)
    left = keep_units(kept, weights, axes)
    if shape.attention_dim:
        # Attention divides by the root of its width, which is another now.
        left["pooling.queries.weight"] *= (shape.attention_dim / shorter.shape.attention_dim) ** 0.5
    smaller.load_state_dict(left)
    return smaller.eval()


def most_important(weights: Tensor, count: int) -> Tensor:
    """The numbers, ascending, of the `count` units with the largest norm among those whose weights [units, numbers] are given."""
    method = prune.LnStructured(amount=len(weights) - count, n=2, dim=0)
    mask: Tensor = method.compute_mask(weights, torch.ones_like(weights))  # type: ignore[no-untyped-call]
    return torch.nonzero(mask.amax(1)).flatten()


def _without_layers(ranker: Ranker, shape: RankerShape) -> Ranker:
    """The same ranker with no more crosses than the shape has, and without attention if it has none."""
    attention_dim = ranker.shape.attention_dim if shape.attention_dim else 0
    shorter = Ranker(replace(ranker.shape, cross_layers=shape.cross_layers, attention_dim=attention_dim))
    known = ranker.state_dict()
    shorter.load_state_dict({name: known[name] for name in shorter.state_dict()})
    return shorter
