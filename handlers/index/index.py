"""What an index is: it finds the best slots for users, and hides what must not be found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class Lines(Protocol):
    """What is searched: `vectors` float32 [S, d], of which slot 0 is nobody's. `hidden` int64 are the slots never to be found,
    `shown` bool [S] says the same of every slot.
    """

    @property
    def vectors(self) -> Tensor: ...

    @property
    def hidden(self) -> Tensor: ...

    @property
    def shown(self) -> Tensor: ...


class Index(Protocol):
    """Finds the k best slots for B users of M vectors each, best first.

    users [B, M, d], seen slots [B, n] (0 is padding) -> slots int64 [B, k] and scores [B, k], -inf where there is no other. An
    item's score is the largest dot product with one of the user's vectors; vectors of zeros have no say. With `allowed`, int64
    [n] for each of B, all of them shown, nothing but those slots is found.
    """

    name: str

    def best(
        self, lines: Lines, users: Tensor, seen: Tensor, k: int, allowed: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]: ...


def of_interests(scores: Tensor, users: Tensor) -> Tensor:
    """Dot products [B, M, n] with each of a user's vectors [B, M, d] -> the largest, [B, n]."""
    if users.shape[1] == 1:
        return scores[:, 0]
    silent = ~users.any(2, keepdim=True)
    # A user without any vector scores 0, as one with a vector of zeros does.
    silent &= ~silent.all(1, keepdim=True)
    return scores.masked_fill(silent, -torch.inf).amax(1)


def among(slots: Tensor, seen: Tensor) -> Tensor:
    """Which of the slots [B, C] are among those of the same row of [B, n]."""
    if not seen.shape[1]:
        return torch.zeros_like(slots, dtype=torch.bool)
    ordered = seen.sort(1).values
    at = torch.searchsorted(ordered, slots).clamp_(max=seen.shape[1] - 1)
    return ordered.gather(1, at) == slots


def mask_of(slots: Tensor, lines: Lines) -> Tensor:
    """Which of all lines are in some slots [n], bool [S]."""
    return torch.zeros_like(lines.shown).index_fill_(0, slots, value=True)


def joined(parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Slots and scores of users that were done in parts."""
    if len(parts) == 1:
        return parts[0]
    slots, scores = zip(*parts, strict=True)
    return torch.cat(slots), torch.cat(scores)
