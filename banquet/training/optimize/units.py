"""Which numbers of the ranker's weights belong to which unit: what must go together when a unit goes.

A unit is one column of the item vector or of the user's, one direction that attention compares in, one rank of a cross or one
neuron of a hidden layer. Taking one out of every weight that knows it leaves a model that computes as if it had been zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from banquet.training.models.ranking import RankerShape

# One dimension of a weight, in parts: the group whose units its places are, and how many; None for what always stays.
Axis = tuple[tuple[str | None, int], ...]


def axes_of(shape: RankerShape) -> dict[str, tuple[Axis, ...]]:
    """Every weight of a ranker by name, with what each of its dimensions counts."""
    items: Axis = (("items", shape.item_dim),)
    user: Axis = (("user", shape.user_dim),)
    attention: Axis = (("attention", shape.attention_dim),)
    crossed: Axis = (*user, *items, (None, shape.activity), *items, *items, (None, 1))
    hidden: list[Axis] = [((f"hidden.{layer}", width),) for layer, width in enumerate(shape.hidden)]
    axes: dict[str, tuple[Axis, ...]] = {
        "items.ids.weight": (_all(shape.items.items + 1), items),
        "items.lists.weight": (items, _all(shape.items.lists)),
        "items.numbers.weight": (items, _all(shape.items.numbers)),
        "user.constant": (user,),
        "user.numbers.weight": (user, _all(shape.user_numbers)),
        "heads.weight": (_all(2), (*crossed, *hidden[-1])),
        "heads.bias": (_all(2),),
    }
    for owner, sizes, axis in (("items", shape.items.categories, items), ("user", shape.user_categories, user)):
        axes |= {f"{owner}.codes.{place}.weight": (_all(size), axis) for place, size in enumerate(sizes)}
    if shape.attention_dim:
        axes |= {f"pooling.{side}.weight": (attention, items) for side in ("queries", "keys")}
    for layer in range(shape.cross_layers):
        rank: Axis = ((f"rank.{layer}", shape.cross_rank),)
        axes |= {f"crosses.{layer}.down.weight": (rank, crossed), f"crosses.{layer}.up.weight": (crossed, rank)}
        axes[f"crosses.{layer}.up.bias"] = (crossed,)
    for layer, (before, after) in enumerate(zip([crossed, *hidden], hidden, strict=False)):
        axes |= {f"deep.{layer}.weight": (after, before), f"deep.{layer}.bias": (after,)}
    return axes


def groups_of(shape: RankerShape) -> dict[str, int]:
    """How many units each group has."""
    parts = (part for axes in axes_of(shape).values() for axis in axes for part in axis)
    return {group: size for group, size in parts if group is not None}


def weights_of_units(group: str, weights: Mapping[str, Tensor], axes: Mapping[str, tuple[Axis, ...]]) -> Tensor:
    """All numbers that go with each unit of a group, [units, numbers]; every weight counts alike, whatever its scale."""
    found = []
    for name, weight in weights.items():
        scaled = weight / weight.square().sum().sqrt().clamp(min=1e-12)
        for dimension, axis in enumerate(axes.get(name, ())):
            start = 0
            for owner, size in axis:
                if owner == group:
                    found.append(scaled.narrow(dimension, start, size).movedim(dimension, 0).reshape(size, -1))
                start += size
    return torch.cat(found, 1)


def keep_units(
    kept: Mapping[str, Tensor], weights: Mapping[str, Tensor], axes: Mapping[str, tuple[Axis, ...]]
) -> dict[str, Tensor]:
    """The weights without the units that are not among `kept`, which holds the numbers of each group's units."""
    smaller = {}
    for name, weight in weights.items():
        left = weight
        for dimension, axis in enumerate(axes.get(name, ())):
            left = left.index_select(dimension, _places(axis, kept))
        smaller[name] = left.clone()
    return smaller


def _all(size: int) -> Axis:
    return ((None, size),)


def _places(axis: Axis, kept: Mapping[str, Tensor]) -> Tensor:
    found, start = [], 0
    for group, size in axis:
        found.append(start + (torch.arange(size) if group is None else kept[group]))
        start += size
    return torch.cat(found)
