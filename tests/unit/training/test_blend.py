import torch

from banquet.training.blend import Lists, best_weights, gains_of


def lists(correction: list[float], like: list[float]) -> list[Lists]:
    """One user who took the second of three candidates."""
    own = torch.tensor([[False, True, False]])
    return [Lists(torch.tensor([[3.0, 2.9, 0.0]]), torch.tensor([correction]), torch.tensor([like]), own)]


def _of(harm: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A correction against the second of three candidates, which one user took; no liking."""
    return torch.tensor([[harm, -harm, 0.0]]), torch.zeros(1, 3), torch.tensor([[False, True, False]])


def test_a_correction_that_helps_is_used() -> None:
    """The smallest weight that already brings the item to the top suffices, or one that nearly does for most."""
    click, liking, reached = best_weights([lists([0.0, 1.0, 0.0], [0.0, 0.0, 0.0])], with_likes=False)
    assert (click, liking, reached) == (0.15, 0.0, 1.0)


def test_a_correction_that_hurts_is_not() -> None:
    """Then the retrieval order is served."""
    assert best_weights([lists([5.0, -5.0, 5.0], [0.0, 0.0, 0.0])], with_likes=False)[0] == 0.0


def test_liking_must_not_cost_the_order() -> None:
    """As much liking as leaves the item where it was; none where it would fall behind."""
    assert best_weights([lists([0.0, 1.0, 0.0], [0.0, 2.0, 0.0])], with_likes=True)[1] == 1.0
    assert best_weights([lists([0.0, 0.2, 0.0], [9.0, -9.0, 9.0])], with_likes=True)[1] == 0.0


def test_no_question_pays_for_another() -> None:
    """A correction that lifts one question and sinks another is not used, nor is liking that costs one of them its order."""
    helped, harmed = lists([0.0, 1.0, 0.0], [0.0, 0.0, 0.0]), [Lists(torch.tensor([[3.0, 3.1, 0.0]]), *_of(harm=5.0))]
    assert best_weights([helped], with_likes=False)[0] > 0.0
    assert best_weights([helped, harmed], with_likes=False)[0] == 0.0
    liked, disliked = lists([0.0, 1.0, 0.0], [0.0, 9.0, 0.0]), lists([0.0, 1.0, 0.0], [9.0, -9.0, 9.0])
    assert best_weights([liked], with_likes=True)[1] == 1.0
    assert best_weights([liked, disliked], with_likes=True)[1] < 1.0


def test_what_may_be_chance_forbids_no_correction() -> None:
    """One user of twenty who loses, where another gains, is no certain harm; nineteen are."""
    helped, harmed = lists([0.0, 1.0, 0.0], [0.0, 0.0, 0.0]), [Lists(torch.tensor([[3.0, 3.1, 0.0]]), *_of(harm=5.0))]
    assert best_weights([helped * 20, [*helped, *harmed] * 10], with_likes=False)[0] > 0.0
    assert best_weights([helped * 20, [*helped, *harmed * 19]], with_likes=False)[0] == 0.0


def test_what_is_not_in_the_list_is_missed() -> None:
    """A user whose item retrieval did not find gains nothing, wherever the rest stands."""
    part = lists([0.0] * 3, [0.0] * 3)[0]
    missing = Lists(part.scores, part.correction, part.like, torch.zeros(1, 3, dtype=torch.bool))
    assert gains_of([missing], 1.0, 0.0).tolist() == [0.0]
