import torch

from banquet.training.blend import Lists, best_weights, ndcg


def lists(correction: list[float], like: list[float]) -> list[Lists]:
    """One user who took the second of three candidates."""
    own = torch.tensor([[False, True, False]])
    return [Lists(torch.tensor([[3.0, 2.9, 0.0]]), torch.tensor([correction]), torch.tensor([like]), own)]


def test_a_correction_that_helps_is_used() -> None:
    """The smallest weight that already brings the item to the top suffices."""
    click, liking, reached = best_weights(lists([0.0, 1.0, 0.0], [0.0, 0.0, 0.0]), with_likes=False)
    assert (click, liking, reached) == (0.15, 0.0, 1.0)


def test_a_correction_that_hurts_is_not() -> None:
    """Then the retrieval order is served."""
    assert best_weights(lists([5.0, -5.0, 5.0], [0.0, 0.0, 0.0]), with_likes=False)[0] == 0.0


def test_liking_must_not_cost_the_order() -> None:
    """As much liking as leaves the item where it was; none where it would fall behind."""
    assert best_weights(lists([0.0, 1.0, 0.0], [0.0, 2.0, 0.0]), with_likes=True)[1] == 1.0
    assert best_weights(lists([0.0, 0.2, 0.0], [9.0, -9.0, 9.0]), with_likes=True)[1] == 0.0


def test_what_is_not_in_the_list_is_missed() -> None:
    """A user whose item retrieval did not find gains nothing, wherever the rest stands."""
    part = lists([0.0] * 3, [0.0] * 3)[0]
    assert ndcg([Lists(part.scores, part.correction, part.like, torch.zeros(1, 3, dtype=torch.bool))], 1.0, 0.0) == 0.0
