"""The ranker as it is served: the same function of the same weights, arranged for one user and hundreds of candidates."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from banquet.training.models.ranking import bounded_log_odds, bounded_scores
from banquet.training.models.retrieval import UNSEEN

if TYPE_CHECKING:
    from banquet.training.models.ranking import LowRankCross, Ranker


class ServedRanker(nn.Module):
    """What `Ranker.forward` gives, for candidates that all see the whole history, and whose lines end in a 1.

    A candidate's line [item_dim + activity + 1] is made by `with_constant`. The 1 carries the mask into the attention and the
    biases into the matrices, so that neither is a pass over all candidates. The attention's queries are folded into the
    history's keys, which are few.
    """

    keys: Tensor | None
    first: Tensor
    heads_of_crossed: Tensor
    heads_of_deep: Tensor
    score_mean: Tensor
    score_scale: Tensor

    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        shape, pooling = ranker.shape, ranker.pooling
        crosses, deep = cast("list[LowRankCross]", list(ranker.crosses)), cast("list[nn.Linear]", list(ranker.deep))
        self.item_dim, self.activity = shape.item_dim, shape.activity
        sizes = (shape.user_dim, shape.item_dim + shape.activity, shape.item_dim, shape.item_dim)
        user, candidate, pooled, product, near = torch.arange(shape.crossed).tensor_split(tuple(accumulate(sizes)))
        order = torch.cat([user, pooled, product, near, candidate])
        weights = {
            "keys": pooling.joint_keys(),
            "first": with_column(deep[0].weight[:, order], deep[0].bias),
            "heads_of_crossed": with_column(ranker.heads.weight[:, : shape.crossed][:, order], ranker.heads.bias),
            "heads_of_deep": ranker.heads.weight[:, shape.crossed :],
            "score_mean": ranker.score_mean,
            "score_scale": ranker.score_scale,
        }
        for name, weight in weights.items():
            self.register_buffer(name, None if weight is None else weight.detach().clone())
        self.deep = ranker.deep[1:]
        self.crosses = nn.ModuleList(ServedCross(cross, crosses[at + 1 :], order) for at, cross in enumerate(crosses))

    def forward(
        self, user: Tensor, history: Tensor, mask: Tensor, candidates: Tensor, retrieval_scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Correction and like logit [B, C] of candidates [B, C, F]; user [B, U], history [B, L, F], mask [B, L]."""
        start = self._start(user, history, mask, candidates, retrieval_scores).flatten(0, 1)
        gate: Tensor | None = None
        for cross in self.crosses:
            gate = cross(start, gate)
        deep = functional.relu(functional.linear(start, self.first))
        for layer in self.deep:
            deep = functional.relu(layer(deep))
        crossed = start if gate is None else start * gate
        logits = torch.addmm(functional.linear(crossed, self.heads_of_crossed), deep, self.heads_of_deep.T)
        correction, like = bounded_log_odds(logits).unbind(1)
        return correction.reshape(retrieval_scores.shape), like.reshape(retrieval_scores.shape)

    def _start(self, user: Tensor, history: Tensor, mask: Tensor, candidates: Tensor, retrieval_scores: Tensor) -> Tensor:
        """User, pooled history, its product with the candidate, retrieval score, candidate, 1."""
        had = history[..., : self.item_dim]
        if self.keys is None:
            evenly = mask[:, None] / mask.sum(-1)[:, None, None].clamp(min=1.0)
            pooled = (evenly @ had).expand(-1, candidates.shape[1], -1)
        else:
            unseen = ((1.0 - mask) * UNSEEN)[..., None]
            keys = torch.cat([functional.linear(had, self.keys), had.new_zeros(*had.shape[:2], self.activity), unseen], -1)
            weights = torch.softmax(candidates @ keys.transpose(1, 2), -1)
            pooled = weights @ (had * mask.amax(1)[:, None, None])
        near = bounded_scores(retrieval_scores, self.score_mean, self.score_scale)
        product = pooled * candidates[..., : self.item_dim]
        return torch.cat([user[:, None].expand(-1, candidates.shape[1], -1), pooled, product, near, candidates], -1)


class ServedCross(nn.Module):
    """One cross, as what it adds to the gate: every state of the crosses is start * gate, and `U V state + b` is added each time.

    The gate begins with the biases of all crosses; what is there too early for a cross is taken out again by its `early`.
    """

    down: Tensor
    up: Tensor
    biases: Tensor
    early: Tensor

    def __init__(self, cross: LowRankCross, later: list[LowRankCross], order: Tensor) -> None:
        super().__init__()
        down = with_column(cross.down.weight[:, order])
        biases = sum((other.up.bias for other in later), start=cross.up.bias)
        weights = {
            "down": down,
            "up": with_column(cross.up.weight.T[:, order]),
            # Where the first cross starts the gate: at 1, the constant's too.
            "biases": 1.0 + with_column(biases[None, order])[0],
            "early": -down * with_column(biases[None, order]),
        }
        for name, weight in weights.items():
            self.register_buffer(name, weight.detach().clone())

    def forward(self, start: Tensor, gate: Tensor | None) -> Tensor:
        """Start and gate [B * C, width], None before the first cross -> the next gate."""
        if gate is None:
            return functional.linear(functional.linear(start, self.down), self.up.T, self.biases)
        low = torch.addmm(functional.linear(start, self.early), start * gate, self.down.T)
        return torch.addmm(gate, low, self.up)


def with_constant(lines: Tensor) -> Tensor:
    """Item features [N, F] -> lines [N, F + 1] that end in a 1."""
    return torch.cat([lines, lines.new_ones(lines.shape[0], 1)], 1)


def with_column(weight: Tensor, column: Tensor | None = None) -> Tensor:
    """A weight [out, in] with one column more, for the 1 at the end of the input; zeros if not given."""
    return torch.cat([weight, weight.new_zeros(len(weight), 1) if column is None else column[:, None]], 1)
