"""What both trainings share: AdamW on a warmed-up cosine, and keeping the best epoch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

WARM_UP_SHARE = 0.04
LOWEST_RATE = 0.02
CLIP = 5.0


class Schedule:
    """AdamW with a linear warm-up and a cosine down to a fiftieth; embeddings and biases decay like the rest."""

    def __init__(self, model: nn.Module, learning_rate: float, weight_decay: float, steps: int) -> None:
        self._parameters = list(model.parameters())
        self._optimizer = torch.optim.AdamW(self._parameters, lr=learning_rate, weight_decay=weight_decay, betas=(0.9, 0.98))
        warm_up = max(1, int(steps * WARM_UP_SHARE))

        def rate(step: int) -> float:
            cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
            return min(1.0, (step + 1) / warm_up) * (LOWEST_RATE + (1 - LOWEST_RATE) * cosine)

        self._rates = torch.optim.lr_scheduler.LambdaLR(self._optimizer, rate)

    def step(self, loss: Tensor) -> float:
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._parameters, CLIP)
        self._optimizer.step()
        self._rates.step()
        return loss.item()


class Best:
    """Remembers the weights of the best epoch and says when to stop."""

    def __init__(self, model: nn.Module, patience: int) -> None:
        self._model = model
        self._patience = patience
        self._weights: dict[str, Tensor] = {}
        self._waited = 0
        self.score = -math.inf

    def goes_on(self, score: float) -> bool:
        """Take an epoch's score, higher is better; False when `patience` epochs in a row brought nothing."""
        if score > self.score:
            self.score, self._waited = score, 0
            self._weights = {name: weight.detach().clone() for name, weight in self._model.state_dict().items()}
        else:
            self._waited += 1
        return self._waited < self._patience

    def restore(self) -> None:
        self._model.load_state_dict(self._weights)
        self._model.eval()


def epochs_for(epochs: int, steps: int, fewest_steps: int) -> int:
    """As many as wanted; more when the data are so few that they would not make `fewest_steps`."""
    return max(epochs, math.ceil(fewest_steps / steps))
