"""Vectors as training makes them: tastes, items around them, users among them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

DIM = 16


@dataclass
class Crowd:
    """Lines as an index takes them; slot 0 is nobody's."""

    vectors: Tensor
    shown: Tensor

    @property
    def hidden(self) -> Tensor:
        return (~self.shown).nonzero()[:, 0]

    def hiding(self, slots: Tensor) -> Crowd:
        shown = self.shown.clone()
        shown[slots] = False
        return Crowd(self.vectors, shown)

    def joined_by(self, vectors: Tensor) -> Crowd:
        return Crowd(torch.cat([self.vectors, vectors]), torch.cat([self.shown, torch.ones(len(vectors), dtype=torch.bool)]))


def crowd(items: int, seed: int = 0) -> Crowd:
    draw = torch.Generator().manual_seed(seed)
    tastes = torch.randn((40, DIM), generator=draw)
    vectors = tastes[torch.randint(40, (items,), generator=draw)] + 0.5 * torch.randn((items, DIM), generator=draw)
    shown = torch.ones(items + 1, dtype=torch.bool)
    shown[0] = False
    return Crowd(torch.cat([torch.zeros(1, DIM), vectors]), shown)


def users_of(lines: Crowd, count: int, interests: int = 1, seed: int = 1) -> Tensor:
    """[count, interests, d], each the middle of some items."""
    draw = torch.Generator().manual_seed(seed)
    liked = torch.randint(1, len(lines.vectors), (count, interests, 3), generator=draw)
    return lines.vectors[liked].mean(2)
