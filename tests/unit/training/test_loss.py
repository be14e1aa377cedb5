import math

import torch
from torch.nn import functional

from banquet.training.loss import full_cross_entropy, sampled_cross_entropy


def test_the_fast_cross_entropy_is_the_textbook_one() -> None:
    """Same loss and same gradients, over more places than one slice holds."""
    torch.manual_seed(0)
    users, items = torch.randn(600, 8, requires_grad=True), torch.randn(50, 8, requires_grad=True)
    targets = torch.randint(0, 50, (600,))
    expected = functional.cross_entropy(users @ items.T, targets)
    wanted = torch.autograd.grad(expected, (users, items))
    loss = full_cross_entropy(users, items, targets)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, (users, items)), wanted)


def test_logq_makes_a_sample_stand_for_the_catalogue() -> None:
    """With the correction the sampled normalizer agrees with the full one although popular items are drawn far more often."""
    torch.manual_seed(0)
    items, users = torch.randn(200, 4), torch.randn(1, 4)
    chances = torch.softmax(3 * items[:, 0], 0)
    full = functional.cross_entropy(users @ items.T, torch.tensor([7]))
    drawn = torch.multinomial(chances, 200_000, replacement=True)
    never = torch.zeros(1, len(drawn), dtype=torch.bool)

    def sampled(log_q: torch.Tensor) -> float:
        return float(sampled_cross_entropy(users, items[[7]], items[drawn], log_q[drawn], never))

    corrected = sampled(torch.log(len(drawn) * chances))
    # The target counts once more than in the full loss; among 200 items that is next to nothing.
    assert math.isclose(corrected, float(full), abs_tol=0.15)
    assert abs(sampled(torch.full((200,), math.log(len(drawn) / 200))) - float(full)) > 0.3


def test_a_sampled_target_does_not_compete_with_itself() -> None:
    """Hidden where drawn, so that nothing is left against it."""
    vector = torch.ones(1, 4)
    loss = sampled_cross_entropy(vector, vector, vector, torch.zeros(1), torch.ones(1, 1, dtype=torch.bool))
    assert float(loss) == 0.0
