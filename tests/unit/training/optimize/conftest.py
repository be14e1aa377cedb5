"""Rankers small enough to check, over every kind of input."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from banquet.training.models.ranking import Ranker, RankerShape
from banquet.training.models.retrieval import ItemWidths

SHAPE = RankerShape(
    ItemWidths(20, (3,), 4, 2),
    activity=2,
    user_categories=(4, 3),
    user_numbers=2,
    item_dim=16,
    user_dim=8,
    attention_dim=12,
    cross_layers=2,
    cross_rank=6,
    hidden=(24, 12),
    dropout=0.1,
)


def make_ranker(shape: RankerShape = SHAPE, seed: int = 0) -> Ranker:
    torch.manual_seed(seed)
    ranker = Ranker(shape)
    for parameter in ranker.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    # Log-odds as a trained ranker has them, far from their bounds.
    torch.nn.init.normal_(ranker.heads.weight, std=0.03)
    return ranker.eval()


def answers(ranker: Ranker) -> torch.Tensor:
    """Both heads' logits [2, B, C] for the same users, histories and candidates, whatever the ranker's widths."""
    generator = torch.Generator().manual_seed(3)

    def draw(high: int, *shape: int) -> torch.Tensor:
        return torch.randint(0, high, shape, generator=generator)

    n, b, c, length = 21, 3, 7, 5
    codes, lists, numbers = draw(3, n, 1), torch.rand(n, 4, generator=generator), torch.randn(n, 2, generator=generator)
    activity, users = torch.randn(b, c, 2, generator=generator), torch.randn(b, 2, generator=generator)
    history, candidates = draw(n, b, length), draw(n, b, c)
    mask = (torch.arange(length) >= torch.tensor([[0], [2], [5]])).float()
    scores = torch.randn(b, c, generator=generator)
    with torch.no_grad():
        items = ranker.items(torch.arange(n), codes, lists, numbers)
        user = ranker.user(torch.stack([draw(4, b), draw(3, b)], 1), users)[:, None]
        return torch.stack(ranker(user, items[history], mask[:, None], torch.cat([items[candidates], activity], -1), scores))


@pytest.fixture
def ranker() -> Ranker:
    return make_ranker()


@pytest.fixture
def half() -> RankerShape:
    return replace(SHAPE, item_dim=8, user_dim=4, attention_dim=4, cross_rank=2, hidden=(12, 4))
