"""The ranking model: DCNv2 with low-rank crosses (Wang et al. 2021), history pooled per candidate (DIN, Zhou et al. 2018).

Whatever a request has once (the user, the history's keys) is computed once and broadcast to its candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from banquet.training.models.retrieval import UNSEEN, ItemEncoder, ItemWidths, bounded

# Of both heads: an item unlike anything in training cannot overturn an order.
MOST_LOG_ODDS = 4.0


@dataclass(frozen=True, slots=True)
class RankerShape:
    """Widths of inputs and layers. An item's features are `item_dim` numbers for what it is, then `activity` for how it fares."""

    items: ItemWidths
    activity: int
    user_categories: tuple[int, ...]
    user_numbers: int
    item_dim: int
    user_dim: int
    attention_dim: int
    cross_layers: int
    cross_rank: int
    hidden: tuple[int, ...]
    dropout: float

    @property
    def crossed(self) -> int:
        """Width of what the crosses and the deep part see: user, candidate, pooled history, their product, retrieval score."""
        return self.user_dim + self.item_dim + self.activity + 2 * self.item_dim + 1


class UserEncoder(nn.Module):
    """categories [..., Uc] and numbers [..., Un], None where the width is 0 -> [..., user_dim]."""

    def __init__(self, categories: tuple[int, ...], numbers: int, dim: int) -> None:
        super().__init__()
        self.codes = nn.ModuleList(nn.Embedding(size, dim) for size in categories)
        self.numbers = nn.Linear(numbers, dim, bias=False) if numbers else None
        self.constant = nn.Parameter(torch.zeros(dim))
        for parameter in self.codes.parameters():
            nn.init.normal_(parameter, std=0.05)

    def forward(self, categories: Tensor | None, numbers: Tensor | None) -> Tensor:
        user: Tensor = self.constant
        if categories is not None:
            for position, codes in enumerate(self.codes):
                user = user + codes(categories[..., position])
        if self.numbers is not None and numbers is not None:
            user = user + self.numbers(bounded(numbers))
        return user


class HistoryPooling(nn.Module):
    """What in the history speaks for each candidate: history [B, L, S], candidates [B, C, S] -> [B, C, S].

    Without any `dim` to compare them in, all of the history speaks evenly, and for all candidates the same.
    """

    def __init__(self, item_dim: int, dim: int) -> None:
        super().__init__()
        self.queries = nn.Linear(item_dim, dim, bias=False) if dim else None
        self.keys = nn.Linear(item_dim, dim, bias=False) if dim else None

    def joint_keys(self) -> Tensor | None:
        """Keys [S, S] that take a candidate as its own query, scaled; None without attention."""
        if self.queries is None or self.keys is None:
            return None
        joint: Tensor = self.queries.weight.T @ self.keys.weight * self.keys.out_features**-0.5
        return joint

    def forward(self, history: Tensor, mask: Tensor, candidates: Tensor) -> Tensor:
        """`mask` [B, 1 or C, L] says which part of the history each candidate may see; nothing gives zeros."""
        if self.queries is None or self.keys is None:
            evenly: Tensor = (mask / mask.sum(-1, keepdim=True).clamp(min=1.0)) @ history
            return evenly.expand(-1, candidates.shape[1], -1)
        keys = self.keys(history) * self.keys.out_features**-0.5
        weights = self.queries(candidates) @ keys.transpose(1, 2) + (1.0 - mask) * UNSEEN
        pooled: Tensor = (torch.softmax(weights, -1) @ history) * mask.amax(-1, keepdim=True)
        return pooled


class LowRankCross(nn.Module):
    """One cross: start * (U V state + b) + state."""

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, width)

    def forward(self, start: Tensor, state: Tensor) -> Tensor:
        crossed: Tensor = start * self.up(self.down(state)) + state
        return crossed


class Ranker(nn.Module):
    """Two heads over the same features: will the user take it (a correction of the retrieval score), and will they like it.

    `score` joins them into the one that is served: retrieval score + click_weight * correction + like_weight * log P(like).
    """

    score_mean: Tensor
    score_scale: Tensor
    click_weight: Tensor
    like_weight: Tensor

    def __init__(self, shape: RankerShape) -> None:
        super().__init__()
        self.shape = shape
        self.items = ItemEncoder(shape.items, shape.item_dim, id_dropout=0.05, std=0.1)
        self.user = UserEncoder(shape.user_categories, shape.user_numbers, shape.user_dim)
        self.pooling = HistoryPooling(shape.item_dim, shape.attention_dim)
        self.crosses = nn.ModuleList(LowRankCross(shape.crossed, shape.cross_rank) for _ in range(shape.cross_layers))
        widths = (shape.crossed, *shape.hidden)
        self.deep = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.dropout = nn.Dropout(shape.dropout)
        self.heads = nn.Linear(shape.crossed + shape.hidden[-1], 2)
        nn.init.zeros_(self.heads.weight)
        nn.init.zeros_(self.heads.bias)
        self.register_buffer("score_mean", torch.zeros(()))
        self.register_buffer("score_scale", torch.ones(()))
        self.register_buffer("click_weight", torch.ones(()))
        self.register_buffer("like_weight", torch.zeros(()))

    def forward(
        self, user: Tensor, history: Tensor, mask: Tensor, candidates: Tensor, retrieval_scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Correction and like logit [B, C] of candidates [B, C, F]; user [B, 1 or C, U], history [B, L, F], mask as pooling's."""
        what = candidates[..., : self.shape.item_dim]
        pooled = self.pooling(history[..., : self.shape.item_dim], mask, what)
        near = bounded_scores(retrieval_scores, self.score_mean, self.score_scale)
        spread = user.expand(-1, candidates.shape[1], -1)
        start = torch.cat([spread, candidates, pooled, pooled * what, near], -1)
        crossed = start
        for cross in self.crosses:
            crossed = cross(start, crossed)
        deep = start
        for layer in self.deep:
            deep = self.dropout(functional.relu(layer(deep)))
        logits = bounded_log_odds(self.heads(torch.cat([crossed, deep], -1)))
        return logits[..., 0], logits[..., 1]

    def score(self, retrieval_scores: Tensor, correction: Tensor, like: Tensor) -> Tensor:
        joined: Tensor = retrieval_scores + self.click_weight * correction + self.like_weight * functional.logsigmoid(like)
        return joined


def item_features(vectors: Tensor, activity: Tensor) -> Tensor:
    """What an item is [..., S] and how it fares [..., A] -> its features [..., S + A] as a candidate."""
    return torch.cat([vectors, bounded(activity)], -1)


def bounded_scores(scores: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Retrieval scores [...] as an input [..., 1], in standard deviations from the mean of good candidates."""
    return bounded((scores - mean) / scale)[..., None]


def bounded_log_odds(logits: Tensor) -> Tensor:
    """Smoothly within `MOST_LOG_ODDS` of 0."""
    return MOST_LOG_ODDS * torch.tanh(logits / MOST_LOG_ODDS)
