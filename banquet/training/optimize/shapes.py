"""How small: the shape of a pruned ranker for a share of its dense parameters, and that of a student."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from banquet.core.errors import BadSettings
from banquet.training.models.ranking import Ranker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from banquet.training.models.ranking import RankerShape

# Widths go down in steps of a 32nd and stay multiples of 4, which is what a processor multiplies at once.
STEPS = 32
ALIGNED = 4


def dense_parameters(model: nn.Module) -> int:
    """How many numbers the linear layers hold; embedding tables are none."""
    layers = (module for module in model.modules() if isinstance(module, nn.Linear))
    return sum(parameter.numel() for layer in layers for parameter in layer.parameters())


def pruned_shape(shape: RankerShape, share: float) -> RankerShape:
    """The first of ever smaller shapes that has lost the share of dense parameters. Raises `BadSettings` when none has."""
    whole = _dense(shape)
    for smaller in _ever_smaller(shape):
        if _dense(smaller) <= (1 - share) * whole:
            return smaller
    raise BadSettings(f"cannot prune {share:.0%} of {whole:,} dense parameters; ask for less")


def student_shape(shape: RankerShape) -> RankerShape:
    """A quarter of the widths, one hidden layer, no crosses, no attention; few enough numbers to need no dropout."""
    return replace(
        shape,
        item_dim=_narrow(shape.item_dim, 1 / 4),
        user_dim=_narrow(shape.user_dim, 1 / 2),
        attention_dim=0,
        cross_layers=0,
        hidden=(_narrow(shape.hidden[0], 1 / 4),),
        dropout=0.0,
    )


def _ever_smaller(shape: RankerShape) -> Iterator[RankerShape]:
    """Crosses and attention go first, as they cost the most time for what they bring; then all widths shrink alike."""
    for layers in reversed(range(shape.cross_layers)):
        yield replace(shape, cross_layers=layers, dropout=0.0)
    for step in range(STEPS):
        left = 1 - step / STEPS
        yield replace(
            shape,
            item_dim=_narrow(shape.item_dim, left),
            user_dim=_narrow(shape.user_dim, left),
            attention_dim=0,
            cross_layers=0,
            hidden=tuple(_narrow(width, left) for width in shape.hidden),
            dropout=0.0,
        )


def _narrow(width: int, left: float) -> int:
    return min(width, max(ALIGNED, int(width * left) // ALIGNED * ALIGNED))


def _dense(shape: RankerShape) -> int:
    with torch.device("meta"):
        return dense_parameters(Ranker(shape))
