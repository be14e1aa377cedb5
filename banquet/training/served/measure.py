"""How well a release orders what was really shown, beside what it replaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from banquet.training.evaluate import TOP, in_batches

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from banquet.training.activity import Log
    from banquet.training.served.slates import Slates

    Floats = NDArray[np.float32]
    # Retrieval scores and served scores [B, K].
    Scored = Callable[[Slates], tuple[torch.Tensor, torch.Tensor]]

PROTOCOL = (
    "answers shown after a user's last two interactions that anything learned from; the items taken among those seen in the same "
    "answer; mean over answers, ties count half"
)


def measure_served(log: Log, score: Scored, slates: tuple[Slates, Slates, Slates]) -> dict[str, Any]:
    """AUC within an answer and NDCG@10 of the model, of retrieval alone, of popularity and of the order that was served."""
    train, valid, test = slates
    scored = [score(test.take(batch)) for batch in in_batches(np.arange(len(test)))]
    counted = log.item_counters.before(np.maximum(test.items, 0), test.moments[:, None])[..., 0]
    places = np.broadcast_to(-np.arange(test.items.shape[1], dtype=np.float32), test.items.shape)
    return {
        "protocol": PROTOCOL,
        "answers": {"train": len(train), "valid": len(valid), "test": len(test)},
        "model": quality(_whole([served for _, served in scored], test), test),
        "retrieval": quality(_whole([retrieval for retrieval, _ in scored], test), test),
        "popularity": quality(counted, test),
        "as_served": quality(places, test),
    }


def quality(scores: Floats, slates: Slates) -> dict[str, float]:
    """Means over answers; chance for none at all."""
    parts = [_quality(scores[batch], slates.take(batch)) for batch in in_batches(np.arange(len(slates)))]
    if not parts:
        return {"auc": 0.5, "ndcg@10": 0.0}
    auc, ndcg = np.concatenate(parts, 1).mean(1).tolist()
    return {"auc": auc, "ndcg@10": ndcg}


def _quality(scores: Floats, slates: Slates) -> NDArray[np.float64]:
    """AUC and NDCG@10 of each answer [2, B]."""
    real = slates.items >= 0
    taken, left = slates.taken & real, ~slates.taken & real
    ties = 0.5 * (scores[:, :, None] == scores[:, None, :])
    above = (scores[:, :, None] > scores[:, None, :]) + ties
    pairs = taken[:, :, None] & left[:, None, :]
    auc = (above * pairs).sum((1, 2)) / pairs.sum((1, 2))
    # An item's tie with itself makes the best rank 1.
    below = (scores[:, None, :] > scores[:, :, None]) + ties
    ranks = 0.5 + (below * real[:, None, :]).sum(2)
    gains = np.where(taken & (ranks <= TOP), 1 / np.log2(ranks + 1), 0.0).sum(1)
    ideal = np.cumsum(1 / np.log2(np.arange(2, TOP + 2)))
    return np.stack([auc, gains / ideal[np.minimum(taken.sum(1), TOP) - 1]])


def _whole(parts: list[torch.Tensor], slates: Slates) -> Floats:
    return torch.cat(parts).numpy() if parts else np.empty(slates.items.shape, np.float32)
