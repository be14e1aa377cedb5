"""The retrieval model: a causal transformer over a user's history, whose last state points at the items that come next.

After SASRec (Kang & McAuley 2018), with relative positions, so that every place in a training window learns the same function.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Added to the attention of what must not be seen; finite, so that a row without any history stays finite too.
UNSEEN = -1e9
# Scaled numbers count up to so many standard deviations from their mean, so that no outlier decides alone.
MOST_DEVIATION = 4.0


@dataclass(frozen=True, slots=True)
class ItemWidths:
    """What an item's inputs look like: known items, codes per category (with 0 = unknown), widths of lists and numbers."""

    items: int
    categories: tuple[int, ...]
    lists: int
    numbers: int

    @property
    def has_content(self) -> bool:
        return bool(self.categories or self.lists or self.numbers)


class ItemEncoder(nn.Module):
    """Item inputs -> vectors [N, d]: the id's embedding plus projections of the content, so that unknown items have a vector."""

    def __init__(self, widths: ItemWidths, dim: int, id_dropout: float = 0.0, std: float = 0.02) -> None:
        super().__init__()
        self.widths = widths
        self.id_dropout = id_dropout if widths.has_content else 0.0
        self.ids = nn.Embedding(widths.items + 1, dim)
        self.codes = nn.ModuleList(nn.Embedding(size, dim) for size in widths.categories)
        self.lists = nn.Linear(widths.lists, dim, bias=False) if widths.lists else None
        self.numbers = nn.Linear(widths.numbers, dim, bias=False) if widths.numbers else None
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=std)

    def forward(
        self, index: Tensor, categories: Tensor | None = None, lists: Tensor | None = None, numbers: Tensor | None = None
    ) -> Tensor:
        if self.training and self.id_dropout:
            index = index * (torch.rand(index.shape) >= self.id_dropout)
        vectors: Tensor = self.ids(index)
        if categories is not None:
            for position, codes in enumerate(self.codes):
                vectors = vectors + codes(categories[:, position])
        if self.lists is not None and lists is not None:
            vectors = vectors + self.lists(lists)
        if self.numbers is not None and numbers is not None:
            vectors = vectors + self.numbers(bounded(numbers))
        return vectors


class Block(nn.Module):
    """Attention, then a feed-forward layer, each on the normalized states and added to them."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(dim)
        self.queries = nn.Linear(dim, dim)
        self.keys_values = nn.Linear(dim, 2 * dim)
        self.attended = nn.Linear(dim, dim)
        self.before_feed = nn.LayerNorm(dim)
        self.feed = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, bias: Tensor, *, last_only: bool = False) -> Tensor:
        """States [B, L, d], and what each place makes of each other, bias [B, H, L, L] -> the next states or the last of them."""
        known = self.before_attention(states)
        keys, values = self.keys_values(known).chunk(2, -1)
        if last_only:
            known, states, bias = known[:, -1:], states[:, -1:], bias[:, :, -1:]
        queries = self._split(self.queries(known)) * (states.shape[2] / self.heads) ** -0.5
        weights = torch.softmax(queries @ self._split(keys).transpose(2, 3) + bias, -1)
        attended = (weights @ self._split(values)).transpose(1, 2).flatten(2)
        kept = states + self.dropout(self.attended(attended))
        fed: Tensor = kept + self.dropout(self.feed(self.before_feed(kept)))
        return fed

    def _split(self, states: Tensor) -> Tensor:
        split: Tensor = states.reshape(states.shape[0], states.shape[1], self.heads, -1)
        return split.transpose(1, 2)


class HistoryEncoder(nn.Module):
    """history [B, L, d] oldest first, left-padded, and its mask [B, L] -> user_vector [B, d]; zeros for an empty history."""

    def __init__(self, dim: int, length: int, blocks: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.length = length
        self.before = nn.LayerNorm(dim)
        self.distance = nn.Parameter(torch.zeros(heads, length))
        self.blocks = nn.ModuleList(Block(dim, heads, dropout) for _ in range(blocks))
        self.after = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, history: Tensor, mask: Tensor) -> Tensor:
        bias = self._bias(mask)
        states = self.before(history)
        for block in self.blocks[:-1]:
            states = block(states, bias)
        last = self.after(self.blocks[-1](states, bias, last_only=True))[:, 0]
        user_vector: Tensor = last * mask.amax(1, keepdim=True)
        return user_vector

    def states(self, history: Tensor, mask: Tensor) -> Tensor:
        """The user's vector after each item of the history [B, L, d], which is what training learns from."""
        bias = self._bias(mask)
        states = self.dropout(self.before(history))
        for block in self.blocks:
            states = block(states, bias)
        after: Tensor = self.after(states)
        return after

    def _bias(self, mask: Tensor) -> Tensor:
        """[B, H, L, L]: what a distance is worth, and nothing from the future or the padding.

        Cut out of that of a longer history, which an engine works out once, when it loads the graph.
        """
        places = torch.arange(self.length + 1)
        back = places[:, None] - places[None, :]
        near = self.distance[:, back.clamp(0, self.length - 1)] + (back < 0).to(mask.dtype) * UNSEEN
        length = mask.shape[1]
        return near[:, :length, :length] + ((1.0 - mask) * UNSEEN)[:, None, None, :]


class Retrieval(nn.Module):
    """The two graphs of retrieval, which share the item vectors: what a user has had and what may come next."""

    def __init__(self, items: ItemEncoder, history: HistoryEncoder) -> None:
        super().__init__()
        self.items = items
        self.history = history


def bounded(numbers: Tensor) -> Tensor:
    """Numbers in standard deviations from their mean, each within `MOST_DEVIATION`."""
    return numbers.clamp(-MOST_DEVIATION, MOST_DEVIATION)


def pad_mask(rows: Tensor) -> Tensor:
    """1.0 where a row of item numbers holds an item (not -1)."""
    return (rows >= 0).to(torch.float32)
