"""A retriever and a ranker of your own, each trained in a few lines: GRU4Rec, and a multilayer perceptron that corrects it.

banquet train --models docs/examples/own_models.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from banquet.training.own import RankingData, RetrievalData

WIDTH = 64
RETRIEVAL_EPOCHS = 8
RANKING_EPOCHS = 2  # there are few clicks to learn a correction from


class ItemEncoder(nn.Module):
    """A vector per item: index [N] -> vectors [N, d]."""

    def __init__(self, data: RetrievalData) -> None:
        super().__init__()
        self.ids = nn.Embedding(data.index_size, WIDTH)

    def forward(self, index: Tensor) -> Tensor:
        return self.ids(index)


class HistoryEncoder(nn.Module):
    """What a user wants next: history [B, L, d] -> user_vector [B, d]. Without biases, padding leaves no trace."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(WIDTH, WIDTH, batch_first=True, bias=False)

    def states(self, history: Tensor) -> Tensor:
        return self.gru(history)[0]

    def forward(self, history: Tensor) -> Tensor:
        return self.states(history)[:, -1]


def retrieval(data: RetrievalData) -> dict[str, nn.Module]:
    items, users = ItemEncoder(data), HistoryEncoder()
    optimizer = torch.optim.Adam([*items.parameters(), *users.parameters()], lr=4e-3)
    rng = np.random.default_rng(data.seed)
    for epoch in range(RETRIEVAL_EPOCHS):
        for rows, following in data.windows(rng, size=16):
            vectors = items(data.items["index"])
            history, _ = data.histories(vectors, rows)
            asked = following >= 0
            loss = cross_entropy(users.states(history)[asked] @ vectors.T, following[asked])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        data.note(f"epoch {epoch + 1}/{RETRIEVAL_EPOCHS} loss {loss.item():.3f}")
    return {"item_encoder": items, "history_encoder": users}


class RankerItems(nn.Module):
    """What ranking knows of an item, kept beside the model: index [N], numbers [N, In] -> features [N, F]."""

    def __init__(self, data: RankingData) -> None:
        super().__init__()
        self.ids = nn.Embedding(data.index_size, 16)
        self.numbers = nn.Linear(data.width("numbers"), 16)

    def forward(self, index: Tensor, numbers: Tensor) -> Tensor:
        return torch.cat([self.ids(index), self.numbers(numbers)], 1)


class Ranker(nn.Module):
    """Retrieval's score, corrected by what the user is like and has had: -> scores [B, C]."""

    def __init__(self, data: RankingData) -> None:
        super().__init__()
        self.scale = data.score_scale
        self.hidden = nn.Linear(3 * 32 + data.user_width, 64)
        self.correction = nn.Linear(64, 1, bias=False)
        nn.init.zeros_(self.correction.weight)

    def forward(
        self, user_numbers: Tensor, history: Tensor, mask: Tensor, candidates: Tensor, retrieval_scores: Tensor
    ) -> Tensor:
        had = history.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        known = torch.cat([user_numbers, had], 1)[:, None].expand(-1, candidates.shape[1], -1)
        seen = torch.cat([known, candidates, candidates * had[:, None]], 2)
        return retrieval_scores + self.scale * self.correction(torch.relu(self.hidden(seen))).squeeze(2)


def ranking(data: RankingData) -> dict[str, nn.Module]:
    items, ranker = RankerItems(data), Ranker(data)
    optimizer = torch.optim.Adam([*items.parameters(), *ranker.parameters()], lr=1e-3, weight_decay=1e-5)
    rng = np.random.default_rng(data.seed)
    for epoch in range(RANKING_EPOCHS):
        for batch in data.examples(rng, size=64):
            loss = batch.loss(items, ranker)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        data.note(f"epoch {epoch + 1}/{RANKING_EPOCHS} loss {loss.item():.3f}")
    return {"ranker_items": items, "ranker": ranker}
