"""A student learns what its teacher would answer."""

from dataclasses import dataclass

import numpy as np
import torch

from banquet.training.candidates import Contest
from banquet.training.optimize.teacher import Teacher


@dataclass
class Taught:
    """A cascade whose ranker always corrects by the same."""

    correction: torch.Tensor

    def logits(self, targets, rows, retrieval):
        return self.correction, torch.zeros_like(self.correction)


def test_only_the_teachers_own_answer_leaves_nothing_to_learn() -> None:
    """The gradient vanishes there, also beside an item that retrieval did not find; elsewhere it does not."""
    wanted = torch.tensor([[1.0, -0.5, 0.2, 0.0]])
    retrieval = torch.tensor([[0.3, 2.0, -1.0, -torch.inf]])
    met = Contest(np.zeros((1, 4), np.int64), retrieval, torch.zeros(1, 4))
    teacher = Teacher(Taught(wanted))

    def slope(correction: torch.Tensor) -> float:
        learned = correction.clone().requires_grad_()
        loss = teacher.click_loss(np.zeros(1, np.int64), met, learned)
        assert torch.isfinite(loss)
        loss.backward()
        return float(learned.grad.abs().max())

    assert slope(wanted) < 1e-6
    assert slope(torch.zeros(1, 4)) > 0.05
