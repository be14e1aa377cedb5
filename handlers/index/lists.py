"""The lists of an index: which of thousands of centres a vector is nearest to, found by way of the nearest groups of centres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

# Vectors per step of an assignment: bounds the memory of its scores.
CHUNK = 1 << 15
# Groups of centres that are looked into for each vector: with 2 the lists are as good as with all, at a thirtieth of the work.
GROUPS_TRIED = 2
ROUNDS = 10
PER_CENTRE = 64


@dataclass(frozen=True, slots=True)
class Lists:
    """`centres` float32 [L, d], sorted by group; `groups` float32 [G, d] are the groups' own centres and `ends` int64 [G] where
    each group's centres end.
    """

    centres: Tensor
    groups: Tensor
    ends: Tensor

    def __len__(self) -> int:
        return len(self.centres)

    @classmethod
    def learned(cls, vectors: Tensor, count: int, seed: int = 0) -> Lists:
        """About `count` centres by k-means, first of groups, then within each; from a sample when there are many vectors."""
        draw = torch.Generator().manual_seed(seed)
        sample = vectors[torch.randperm(len(vectors), generator=draw)[: PER_CENTRE * count]]
        groups = _k_means(sample, max(1, round(count**0.5)), draw)
        nearest = _nearest(sample, groups)
        parts = [sample[nearest == group] for group in range(len(groups))]
        wanted = [min(len(part), max(1, round(count * len(part) / len(sample)))) for part in parts]
        centres = [_k_means(part, its, draw) for part, its in zip(parts, wanted, strict=True) if its]
        kept = torch.tensor([bool(its) for its in wanted])
        return cls(torch.cat(centres), groups[kept], torch.tensor([len(part) for part in centres]).cumsum(0))

    @classmethod
    def of(cls, arrays: Mapping[str, Tensor]) -> Lists:
        return cls(arrays["centres"], arrays["groups"], arrays["ends"])

    def arrays(self) -> dict[str, Tensor]:
        return {"centres": self.centres, "groups": self.groups, "ends": self.ends}

    def assigned(self, vectors: Tensor) -> Tensor:
        """The centre each vector [n, d] belongs to, int64 [n]."""
        return torch.cat([self._assigned(vectors[at : at + CHUNK]) for at in range(0, max(1, len(vectors)), CHUNK)])

    def _assigned(self, vectors: Tensor) -> Tensor:
        tried = (vectors @ self.groups.T - _half_square(self.groups)).topk(min(GROUPS_TRIED, len(self.groups)), dim=1).indices
        best = torch.full((len(vectors),), -torch.inf)
        found = torch.zeros(len(vectors), dtype=torch.int64)
        half, begin = _half_square(self.centres), 0
        for group, end in enumerate(self.ends.tolist()):
            its = (tried == group).any(1).nonzero()[:, 0]
            nearness, place = (vectors[its] @ self.centres[begin:end].T - half[begin:end]).max(1)
            better = nearness > best[its]
            best[its[better]], found[its[better]] = nearness[better], place[better] + begin
            begin = end
        return found


def _k_means(vectors: Tensor, count: int, draw: torch.Generator) -> Tensor:
    """Lloyd's iterations from `count` of the vectors; a centre that loses all its vectors stays where it was."""
    centres = vectors[torch.randperm(len(vectors), generator=draw)[:count]].clone()
    for _ in range(ROUNDS):
        nearest = _nearest(vectors, centres)
        sizes = torch.bincount(nearest, minlength=len(centres))
        sums = torch.zeros_like(centres).index_add_(0, nearest, vectors)
        centres = torch.where(sizes[:, None] > 0, sums / sizes.clamp(min=1)[:, None], centres)
    return centres


def _nearest(vectors: Tensor, centres: Tensor) -> Tensor:
    half = _half_square(centres)
    return torch.cat([(part @ centres.T - half).argmax(1) for part in torch.split(vectors, CHUNK)])


def _half_square(centres: Tensor) -> Tensor:
    """The nearest centre c of x is the one with the largest x.c - c.c / 2."""
    return centres.square().sum(1) / 2
