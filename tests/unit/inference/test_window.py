"""How many calls may be under way, as workers come and go and calls succeed and fail."""

import pytest

from banquet.inference.window import Window


@pytest.mark.parametrize(("workers", "room"), [(0, 1), (1, 1), (3, 3), (99, 8)])
def test_there_is_a_call_for_each_worker_up_to_a_bound(workers, room):
    """With one worker one call, so that everyone else joins the next; without any, one finds out when there is one again."""
    assert Window(8).room(workers) == room


def test_what_went_wrong_halves_it_and_it_comes_back_one_by_one():
    """Four calls, then two; two good ones make it three, three more four."""
    window = Window(8)
    window.went_wrong(4)
    rooms = []
    for _ in range(6):
        rooms.append(window.room(4))
        window.went_well()
    assert rooms == [2, 2, 2, 3, 3, 3]
    assert window.room(4) == 4


def test_it_never_closes_and_never_outgrows_its_bound():
    """One call stays, whatever happens; many good ones do not make it wider than told."""
    window = Window(3)
    for _ in range(20):
        window.went_wrong(3)
    assert window.room(3) == 1
    for _ in range(100):
        window.went_well()
    assert window.room(64) == 3
